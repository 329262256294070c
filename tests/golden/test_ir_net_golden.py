"""IR-Net against numbers computed with the code that its authors published."""

import pytest
from blocks import TwoShortcuts
from cases import Case, check_sign, run_block, run_layer
from torch import nn

from bitwright.core.binarizers import ErrorDecay
from bitwright.methods import ir_net
from bitwright.nn.convert import binarize

POINTS = ("start", "mid", "end")


def at_point(case: Case, net: nn.Module) -> nn.Module:
    """The net with its surrogates where the file has them."""
    for module in net.modules():
        if isinstance(module, ErrorDecay):
            module.t, module.k = case.number("t"), case.number("k")
    return net


@pytest.mark.parametrize("point", [*POINTS, "edges"])
def test_activation(point: str) -> None:
    case = Case(f"irnet.act_{point}")
    check_sign(case, at_point(case, ir_net().activation(nn.Conv2d(4, 1, 1))))


@pytest.mark.parametrize("point", POINTS)
def test_schedule(point: str) -> None:
    case = Case(f"irnet.act_{point}")
    decay = ir_net(t_min=case.number("t_min"), t_max=case.number("t_max")).activation(nn.Conv2d(4, 1, 1))
    decay.set_progress(case.number("epoch") / case.number("epochs"))
    assert (decay.t, decay.k) == pytest.approx((case.number("t"), case.number("k")), rel=1e-6)


@pytest.mark.parametrize("kernel", ["1x1", "3x3"])
@pytest.mark.parametrize("point", POINTS)
def test_weight(kernel: str, point: str) -> None:
    case = Case(f"irnet.weight_{kernel}_{point}")
    w = case["w"].clone().requires_grad_()
    out = at_point(case, ir_net().weight(nn.Conv2d(1, 1, 1)))(w)
    out.backward(case["upstream"])
    case.check("out", out)
    case.check("grad_w", w.grad)


@pytest.mark.parametrize("name", [*POINTS, "1w32a"])
def test_convolution(name: str) -> None:
    case = Case(f"irnet.conv_{name}")
    layer = nn.Conv2d(4, 8, 3, padding=1, bias=False)
    at_point(case, binarize(layer, ir_net(real_input=name == "1w32a"), where=[""]))
    layer.weight.data.copy_(case["w"])
    run_layer(case, layer)


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_block(mode: str) -> None:
    case = Case(f"irnet.block_{mode}")
    block = binarize(TwoShortcuts(nn.Hardtanh, pooled=False), ir_net(), where=["conv1", "conv2"])
    run_block(case, at_point(case, block))
