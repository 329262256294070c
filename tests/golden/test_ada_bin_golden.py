"""AdaBin against numbers computed with the authors' code."""

import pytest
import torch
from blocks import TwoShortcuts
from cases import Case, run_block, run_layer
from torch import nn

from bitwright.core.binarizers import ErrorDecay
from bitwright.methods import ada_bin
from bitwright.nn.activations import Maxout
from bitwright.nn.convert import binarize

NAMES = {
    "binary_a.alpha_a": "input_binarizer.alpha",
    "binary_a.beta_a": "input_binarizer.beta",
    "nonlinear": "act",
}


def decay(case: Case, net: nn.Module) -> nn.Module:
    """Bring the schedule to where the case stands."""
    for module in net.modules():
        if isinstance(module, ErrorDecay):
            module.t, module.k = case.number("t"), case.number("k")
    return net


@pytest.mark.parametrize("name", ["act", "act_edges"])
def test_activation(name: str) -> None:
    case = Case(f"adabin.{name}")
    levels = ada_bin().activation(nn.Conv2d(1, 1, 1))
    levels.load_state_dict({"alpha": case["param_binary_a.alpha_a"], "beta": case["param_binary_a.beta_a"]})
    x = case["x"].clone().requires_grad_()
    out = levels(x)
    out.backward(case["upstream"])
    case.check("out", out, where=x != levels.beta)
    case.check("grad_x", x.grad)
    at_zero = case["upstream"][x == levels.beta].sum()  # where the original's sign is 0
    case.check("grad_param_binary_a.alpha_a", levels.alpha.grad - at_zero)
    case.check("grad_param_binary_a.beta_a", levels.beta.grad)


@pytest.mark.parametrize("name", ["weight_1x1_mid", "weight_3x3_start", "weight_3x3_mid", "weight_3x3_end"])
def test_weight(name: str) -> None:
    case = Case(f"adabin.{name}")
    w = case["w"].clone().requires_grad_()
    out = decay(case, ada_bin().weight(nn.Conv2d(1, 1, 1)))(w)
    out.backward(case["upstream"])
    case.check("out", out)
    case.check("grad_w", w.grad)


@pytest.mark.parametrize("point", ["start", "mid", "end"])
def test_schedule_is_the_published_one(point: str) -> None:
    case = Case(f"adabin.conv_{point}")
    binarizer = ada_bin().weight(nn.Conv2d(1, 1, 1))
    binarizer.sign.set_progress(case.number("epoch") / case.number("epochs"))
    assert (binarizer.sign.t, binarizer.sign.k) == pytest.approx((case.number("t"), case.number("k")), rel=1e-6)


@pytest.mark.parametrize("point", ["start", "mid", "end"])
@pytest.mark.parametrize("training", [True, False])
def test_convolution(point: str, training: bool) -> None:
    case = Case(f"adabin.conv_{point}")
    layer = decay(case, binarize(nn.Conv2d(4, 8, 3, padding=1, bias=False), ada_bin(), where=[""])).train(training)
    with torch.no_grad():
        layer.weight.copy_(case["w"])
        layer.input_binarizer.alpha.copy_(case["param_binary_a.alpha_a"])
        layer.input_binarizer.beta.copy_(case["param_binary_a.beta_a"])
    run_layer(case, layer)
    case.check("grad_param_binary_a.alpha_a", layer.input_binarizer.alpha.grad)
    case.check("grad_param_binary_a.beta_a", layer.input_binarizer.beta.grad)


@pytest.mark.parametrize("training", [True, False])
def test_maxout(training: bool) -> None:
    case = Case("adabin.maxout")
    maxout = Maxout(4).train(training)
    maxout.load_state_dict(case.group("param_"))
    x = case["x"].clone().requires_grad_()
    out = maxout(x)
    out.backward(case["upstream"])
    case.check("out", out)
    case.check("grad_x", x.grad)
    case.check("grad_param_pos_scale", maxout.pos_scale.grad)
    case.check("grad_param_neg_scale", maxout.neg_scale.grad)


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_block(mode: str) -> None:
    case = Case(f"adabin.block_{mode}")
    for original, ours in NAMES.items():
        case.values = {k.replace(original, ours): v for k, v in case.values.items()}
    block = binarize(TwoShortcuts(lambda: Maxout(16), pooled=False), ada_bin(), where=["conv1", "conv2"])
    run_block(case, decay(case, block))
