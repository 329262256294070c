"""ReCU against numbers computed with the authors' code."""

import pytest
import torch
from blocks import TwoShortcuts
from cases import Case, check_sign, run_block, run_layer
from torch import nn

from bitwright.methods import recu
from bitwright.methods.recu import RectifiedClamp
from bitwright.nn.convert import binarize


def quantile(case: Case, net: nn.Module) -> nn.Module:
    """Bring the schedule to where the case stands."""
    for module in net.modules():
        if isinstance(module, RectifiedClamp):
            module.tau = case.number("tau")
    return net


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_activation(mode: str) -> None:
    check_sign(Case(f"recu.act_{mode}"), recu().activation(nn.Conv2d(1, 1, 1)).train(mode == "train"))


@pytest.mark.parametrize("name", ["weight_1x1_mid", "weight_3x3_start", "weight_3x3_mid", "weight_3x3_end"])
def test_weight(name: str) -> None:
    case = Case(f"recu.{name}")
    w = case["w"].clone().requires_grad_()
    out = quantile(case, recu().weight(nn.Conv2d(1, 1, 1)))(w)
    out.backward(case["upstream"])
    case.check("out", out)
    case.check("grad_w", w.grad)


@pytest.mark.parametrize("point", ["start", "mid", "end"])
def test_schedule_is_the_published_one(point: str) -> None:
    case = Case(f"recu.conv_{point}")
    binarizer = recu().weight(nn.Conv2d(1, 1, 1))
    binarizer.set_progress(case.number("epoch") / case.number("epochs"))
    assert binarizer.tau == pytest.approx(case.number("tau"), rel=1e-6)


@pytest.mark.parametrize("point", ["start", "mid", "end"])
def test_convolution(point: str) -> None:
    case = Case(f"recu.conv_{point}")
    layer = quantile(case, binarize(nn.Conv2d(4, 8, 3, padding=1, bias=False), recu(), where=[""]))
    with torch.no_grad():
        layer.weight.copy_(case["w"])
        layer.rescale.alpha.copy_(case["param_alpha"])
    run_layer(case, layer)
    case.check("grad_param_alpha", layer.rescale.alpha.grad)


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_block(mode: str) -> None:
    case = Case(f"recu.block_{mode}")
    case.values = {k.replace(".alpha", ".rescale.alpha"): v for k, v in case.values.items()}
    block = binarize(TwoShortcuts(nn.Hardtanh, pooled=True), recu(), where=["conv1", "conv2"])
    run_block(case, quantile(case, block))
