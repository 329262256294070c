"""RBNN against numbers computed with the code that its authors published."""

from typing import Any

import pytest
import torch
from blocks import TwoShortcuts
from cases import Case, check_sign, run_block, run_layer
from torch import nn

from bitwright.core.hooks import set_progress
from bitwright.methods import rbnn
from bitwright.methods.rbnn import RotatedWeight, fit_rotations
from bitwright.nn.convert import binarize

POINTS = ("start", "mid", "end")
WEIGHTS = ("weight_3x3_start", "weight_3x3_mid", "weight_3x3_end", "weight_1x1_mid", "weight_initial_angle")
OURS = {"rotate": "weight_binarizer.angle", "R1": "weight_binarizer.left", "R2": "weight_binarizer.right",
        "alpha": "rescale.alpha"}  # fmt: skip


def published(case: Case) -> Any:
    return rbnn(case.number("t_min"), case.number("t_max"), code_compat=True)


def at_epoch(case: Case, net: nn.Module) -> nn.Module:
    """Bring the schedule to where the case stands, and see that its numbers are those of the file."""
    set_progress(net, case.number("epoch") / case.number("epochs"))
    for module in net.modules():
        if isinstance(module, RotatedWeight):
            assert (module.sign.t, module.sign.k) == pytest.approx((case.number("t"), case.number("k")), rel=1e-6)
    return net


def load(case: Case, module: nn.Module, prefix: str = "") -> None:
    """Give a layer, or a binarizer, the parameters and rotations of the case."""
    state = module.state_dict()
    for key, value in (case.group("param_") | case.group("buffer_")).items():
        if (name := OURS[key].removeprefix(prefix)) in state:
            state[name] = value
    module.load_state_dict(state)


def test_activation() -> None:
    case = Case("rbnn.act_mid")
    check_sign(case, at_epoch(case, published(case).activation(nn.Conv2d(4, 8, 3))))


@pytest.mark.parametrize("name", WEIGHTS)
def test_weight(name: str) -> None:
    case = Case(f"rbnn.{name}")
    outputs, inputs, k, _ = case["w"].shape
    binarizer = at_epoch(case, published(case).weight(nn.Conv2d(inputs, outputs, k)))
    if name == "weight_initial_angle":
        assert torch.equal(binarizer.angle, case["param_rotate"])
    load(case, binarizer, "weight_binarizer.")
    w = case["w"].clone().requires_grad_()
    out = binarizer(w)
    out.backward(case["upstream"])
    case.check("out", out)
    case.check("grad_w", w.grad)
    case.check("grad_param_rotate", binarizer.angle.grad)


def test_rotation_update() -> None:
    case = Case("rbnn.rotation_update")
    case.tolerance = 1e-4  # singular vectors
    binarizer: Any = rbnn().weight(nn.Conv2d(4, 8, 3))
    load(case, binarizer, "weight_binarizer.")
    w = case["w"]
    binarizer.after_step(w)
    case.check("after_R1", binarizer.left)
    case.check("after_R2", binarizer.right)
    v = binarizer.standardised(w)
    left, right = fit_rotations(v, case["buffer_R1"], case["buffer_R2"])
    case.check("rotated_w", left.T @ v @ right)


@pytest.mark.parametrize("point", POINTS)
def test_convolution(point: str) -> None:
    case = Case(f"rbnn.conv_{point}")
    layer: Any = binarize(nn.Conv2d(4, 8, 3, padding=1, bias=False), published(case), where=[""])
    load(case, at_epoch(case, layer))
    layer.weight.data.copy_(case["w"])
    run_layer(case, layer)
    case.check("grad_param_alpha", layer.rescale.alpha.grad)
    case.check("grad_param_rotate", layer.weight_binarizer.angle.grad)


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_block(mode: str) -> None:
    case = Case(f"rbnn.block_{mode}")
    for theirs, own in OURS.items():
        case.values = {key.replace(f".{theirs}", f".{own}"): value for key, value in case.values.items()}
    block = binarize(TwoShortcuts(nn.Hardtanh, pooled=False), published(case), where=["conv1", "conv2"])
    for module in at_epoch(case, block).modules():
        if isinstance(module, RotatedWeight):  # the file names epoch 500, but its weights have the original's first t
            module.sign.t, module.sign.k = 0.1, 10.0
    run_block(case, block)
