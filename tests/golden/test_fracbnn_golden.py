"""Two bit planes and gated convolutions against numbers computed with the code that FracBNN's authors published."""

import pytest
import torch
from test_methods_golden import Case

from bitwright.core.binarizers import Planes, Sign
from bitwright.core.estimators import sign
from bitwright.core.method import Method
from bitwright.nn.convert import binarize
from bitwright.nn.gated import GatedConv2d, add_gates, average_bits, counting_gates


class ClippedSign(Sign):
    """The sign with slope 1 where abs(w) <= 1.3."""

    def __init__(self) -> None:
        super().__init__(lambda w: sign(w, slope=lambda w: w.abs().le_(1.3)))


@pytest.mark.parametrize("name", ["fracbnn.quant2", "fracbnn.quant2_edges"])
def test_planes(name: str) -> None:
    case = Case(name)
    x = case["x"].clone().requires_grad_()
    out = Planes()(x)
    case.check("out", out)
    out.backward(case["upstream"])
    case.check("grad_x", x.grad)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", ["gated_conv_3x3", "gated_conv_1x1", "gated_conv_dense_bp"])
def test_gated_convolution(name: str, training: bool) -> None:
    case = Case(f"fracbnn.{name}")
    out, channels, *kernel = case["w"].shape
    padding = kernel[0] // 2
    method = Method(weight=lambda layer: ClippedSign(), activation=lambda layer: Planes())
    layer = binarize(torch.nn.Conv2d(channels, out, kernel[0], padding=padding, bias=False), method, where=[""])
    add_gates(layer, sparse="dense" not in name).train(training)
    assert isinstance(layer, GatedConv2d)
    with torch.no_grad():
        layer.weight.copy_(case["w"])
        layer.threshold.copy_(case["param_conv.threshold"].flatten())
    x = case["x"].clone().requires_grad_()
    with counting_gates(layer):
        y = layer(x)
    case.check("out", y)
    assert (float(layer.open_gates), layer.outputs) == (case.number("gate_open"), case.number("gate_total"))
    assert average_bits(layer) == 1 + case.number("gate_open") / case.number("gate_total")
    y.backward(case["upstream"])
    case.check("grad_x", x.grad)
    case.check("grad_w", layer.weight.grad)
    case.check("grad_param_conv.threshold", layer.threshold.grad)
