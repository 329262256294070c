"""FracBNN: two planes, gates and their penalty, the first layer, and training in two steps."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bitwright import zoo
from bitwright.core.binarizers import Sign
from bitwright.core.hooks import penalty
from bitwright.methods import frac_bnn
from bitwright.nn.convert import binarize
from bitwright.nn.gated import GatedConv2d
from bitwright.nn.layers import BinaryConv2d, BinaryLinear
from bitwright.nn.thermometer import Thermometer


def gated(conv: nn.Conv2d, **options) -> GatedConv2d:
    layer = binarize(conv, frac_bnn(**options), where=[""])
    assert isinstance(layer, GatedConv2d)
    return layer


def sums(layer: GatedConv2d, x: Tensor) -> tuple[Tensor, Tensor]:
    """The integers of both planes."""
    planes = layer.input_binarizer(x)
    high = torch.where(planes > 0, 1.0, -1.0)
    low = (3 * planes - 2 * high).round()
    assert set(low.unique().tolist()) == {-1.0, 1.0}
    w = layer.binarized_weight()
    return tuple(F.conv2d(plane, w, padding=layer.padding) for plane in (high, low))  # type: ignore[return-value]


def test_which_layers_are_gated() -> None:
    """Not the first convolution, whose input is the thermometer's; and no linear layer."""
    net = binarize(zoo.frac_bnn_resnet20(width=4), frac_bnn())
    assert type(net.conv) is BinaryConv2d and isinstance(net.conv.input_binarizer, Sign)
    assert all(type(block.conv) is GatedConv2d for block in net.blocks)
    assert type(binarize(nn.Linear(4, 4), frac_bnn(), where=[""])) is BinaryLinear


def test_three_times_the_output_is_an_integer() -> None:
    layer = gated(nn.Conv2d(6, 9, 3, padding=1, bias=False)).eval()
    layer.gate.threshold.data.normal_(0, 3)
    x = torch.randn(4, 6, 8, 8)
    high, low = sums(layer, x)
    opened = high >= torch.floor(1.5 * layer.gate.threshold).view(-1, 1, 1) + 1
    assert 0.1 < opened.float().mean() < 0.9
    assert torch.equal(layer(x), (2 * high + opened * low) * torch.tensor(1 / 3))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("sparse", [True, False])
def test_the_gradient_of_a_threshold(training: bool, sparse: bool) -> None:
    """That of the gate's sigmoid times what an open gate adds; none where the gate is shut."""
    layer = gated(nn.Conv2d(6, 9, 3, padding=1, bias=False), sparse=sparse).train(training)
    layer.gate.threshold.data.normal_(0, 1)
    x = torch.randn(4, 6, 8, 8)
    y = layer(x)
    upstream = torch.randn(y.shape)
    y.backward(upstream)
    high, low = sums(layer, x)
    above = high * 2 / 3 - layer.gate.threshold.view(-1, 1, 1)
    s = torch.sigmoid(5 * above)
    slope = 5 * s * (1 - s) * ((above >= 0) if sparse else 1)
    torch.testing.assert_close(
        layer.gate.threshold.grad, -(upstream * low / 3 * slope).sum((0, 2, 3)), rtol=1e-4, atol=1e-4
    )


def test_the_penalty_pulls_all_thresholds_to_the_target() -> None:
    net = binarize(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 3)), frac_bnn(gate_target=0.5), where=["0", "1"])
    assert all((layer.gate.threshold == -1).all() for layer in net)
    assert penalty(net).item() == pytest.approx(1e-5 / 2 * 9 * 1.5**2)
    for layer in net:
        layer.gate.threshold.data.normal_()
    penalty(net).backward()
    for layer in net:
        torch.testing.assert_close(layer.gate.threshold.grad, 1e-5 * (layer.gate.threshold.detach() - 0.5))
        assert layer.weight.grad is None
    net[1].gate = net[0].gate  # shared gates count once
    assert penalty(net).item() == pytest.approx(1e-5 / 2 * (net[0].gate.threshold - 0.5).square().sum().item())


def test_the_first_layer_is_a_table_of_33_rows() -> None:
    """A code is a prefix of ones, so that each level of a colour at a tap contributes one number."""
    net = binarize(zoo.frac_bnn_resnet20(width=4), frac_bnn()).eval()
    pixels = torch.randint(0, 256, (2, 3, 6, 5))
    codes = Thermometer(8)(pixels / 255)
    w = torch.where(net.conv.weight >= 0, 1.0, -1.0)
    torch.testing.assert_close(net.conv(codes), F.conv2d(codes, w, padding=1), rtol=0, atol=0)
    by_color = w.view(4, 3, 32, 3, 3)
    table = F.pad(2 * by_color.cumsum(2), (0, 0, 0, 0, 1, 0)) - by_color.sum(2, keepdim=True)  # (out, colour, 33, 3, 3)
    levels = (codes > 0).view(2, 3, 32, 6, 5).sum(2)
    expected = torch.zeros(2, 4, 6, 5)
    for n, y, x, color, dy, dx in torch.ones(2, 6, 5, 3, 3, 3).nonzero().tolist():
        row, column = y + dy - 1, x + dx - 1
        if 0 <= row < 6 and 0 <= column < 5:
            expected[n, :, y, x] += table[:, color, levels[n, color, row, column], dy, dx]
    assert torch.equal(net.conv(codes), expected)
