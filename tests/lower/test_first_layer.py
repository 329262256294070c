"""A first layer that multiplies pixels by integers."""

import numpy as np
import pytest
import torch
from torch import nn

import bitwright as bw
from bitwright import _native
from bitwright.errors import LoweringError
from bitwright.format.reader import read
from bitwright.ir import limits, ops
from bitwright.ir.interpret import interpret
from bitwright.lower import lower
from bitwright.lower.first_layer import integer_first_layer

PIXELS = (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)


def network(first: nn.Module, *rest: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    net = nn.Sequential(first, *rest, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LazyLinear(5))
    with torch.no_grad():
        net.train()(torch.randn(8, 3, 20, 18) * 2 + 1)  # so that batch norm has seen something
        for norm in (m for m in net.modules() if isinstance(m, nn.BatchNorm2d)):
            norm.weight.normal_()
            norm.bias.normal_()
    return net.eval()


def images(count: int = 8) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, 20, 18), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


CONVS = {
    "stem": lambda: (nn.Conv2d(3, 12, 7, 2, 3, bias=False), nn.BatchNorm2d(12), nn.ReLU()),
    "plain": lambda: (nn.Conv2d(3, 7, 3, padding=1), nn.Hardtanh()),
    "valid": lambda: (nn.Conv2d(3, 4, (5, 3), (1, 2)), nn.BatchNorm2d(4)),
    "dilated": lambda: (nn.Conv2d(3, 4, 3, padding=4, dilation=3), nn.PReLU(4)),
}


@pytest.mark.parametrize("kind", CONVS)
def test_the_first_ops_become_one_of_nearly_equal_values(kind, tmp_path):
    net, x = network(*CONVS[kind]()), images()
    exact = bw.export(net, tmp_path / "exact.bw", x, pixels=PIXELS)
    report = bw.export(net, tmp_path / "net.bw", x, pixels=PIXELS, first_layer="int16")
    assert exact.first_layer is None
    assert report.first_layer is not None
    assert report.first_layer.name == "0"
    assert 0 < report.first_layer.logits_relative < 1e-3
    graph, before = read(tmp_path / "net.bw"), read(tmp_path / "exact.bw")
    first = graph.ops[0]
    assert isinstance(first, ops.PixelConv)
    assert not any(isinstance(op, ops.Conv) for op in graph.ops)
    assert len(before.ops) - len(graph.ops) == 2 - (kind in ("plain", "dilated"))
    assert np.abs(first.weight).max() >= 32766
    behind = "1" if kind in ("stem", "valid") else "0"
    expected = interpret(before, x.numpy(), keep=[behind])[behind]
    found = interpret(graph, x.numpy(), keep=["0"])["0"]
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-4 * np.abs(expected).max())  # borders too
    for isa in _native.available_isas():
        np.testing.assert_array_equal(bw.load(tmp_path / "net.bw", isa=isa)(x.numpy()), interpret(graph, x.numpy()))
    assert "int16 weights" in str(report)
    assert "int16 weights" not in str(exact)


def test_filters_of_many_weights_fit_their_sums():
    """Beyond 257 taps the largest weight of a filter may have to be less than 32767."""
    net = network(nn.Conv2d(3, 6, 15, padding=7, bias=False))
    with torch.no_grad():
        net[0].weight[0] = 0.5
        net[0].weight[1] = 0
    graph, _ = integer_first_layer(lower(net, images(), pixels=PIXELS), images().numpy())
    conv = graph.ops[0]
    assert isinstance(conv, ops.PixelConv)
    sums = np.abs(conv.weight.astype(np.int64)).sum((1, 2, 3))
    assert sums.max() <= limits.MAX_PIXEL_WEIGHTS
    assert sums[0] > 0.99 * limits.MAX_PIXEL_WEIGHTS
    assert sums[1] == 0


def test_it_goes_with_a_fixed_point_stream(tmp_path, monkeypatch):
    monkeypatch.setattr(bw.lower.stream, "LEAST_BYTES", 0)
    torch.manual_seed(0)
    net = bw.binarize(bw.zoo.resnet20(width=4), bw.methods.bi_real_net()).eval()
    x = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    report = bw.export(net, tmp_path / "net.bw", x, pixels=PIXELS, first_layer="int16", stream="int16")
    assert report.first_layer is not None
    assert report.stream is not None
    kinds = {type(op) for op in read(tmp_path / "net.bw").ops}
    assert {ops.PixelConv, ops.FixedPoint} <= kinds


def test_a_real_input_is_refused(tmp_path):
    net = network(nn.Conv2d(3, 4, 3))
    with pytest.raises(ValueError, match=r"first_layer: 'int16' multiplies pixels, found a real-valued input"):
        bw.export(net, tmp_path / "net.bw", torch.randn(1, 3, 20, 18), first_layer="int16")
    with pytest.raises(ValueError, match="first_layer: expected 'float32' or 'int16', found 'int8'"):
        bw.export(net, tmp_path / "net.bw", images(), pixels=PIXELS, first_layer="int8")  # pyright: ignore


@pytest.mark.parametrize(
    ("first", "message"),
    [
        (nn.AvgPool2d(2), r"a convolution of one group alone reads 'normalize', found 0 \(AvgPool\)"),
        (nn.Conv2d(3, 6, 3, groups=3), r"a convolution of one group alone reads 'normalize', found 0 \(Conv\)"),
    ],
)
def test_another_first_op_is_refused(first, message, tmp_path):
    with pytest.raises(LoweringError, match=message):
        bw.export(network(first), tmp_path / "net.bw", images(), pixels=PIXELS, first_layer="int16")
    assert not list(tmp_path.iterdir())


class Twice(nn.Module):
    """A convolution whose input is read again."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x) + x


def test_normalized_pixels_that_others_read_are_refused(tmp_path):
    with pytest.raises(LoweringError, match=r"found 0.conv \(Conv\), 0.add \(Add\)"):
        bw.export(network(Twice()), tmp_path / "net.bw", images(), pixels=PIXELS, first_layer="int16")
