"""Pixels as signs: the module against published numbers, and in a file."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import bitwright as bw
from bitwright import _native
from bitwright.errors import LoweringError
from bitwright.format.reader import read
from bitwright.ir import ops
from bitwright.ir.interpret import interpret
from bitwright.nn.thermometer import Thermometer

GOLDEN = Path(__file__).parents[1] / "golden" / "fracbnn.encoder.npz"
PIXELS = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


def test_the_code_of_the_authors():
    with np.load(GOLDEN) as file:
        found = Thermometer(int(file["resolution"]))(torch.from_numpy(file["x"]))
        np.testing.assert_array_equal(found.numpy(), file["out"])


@pytest.mark.parametrize("resolution", [1, 2, 5, 8, 16, 100, 128])
def test_levels_of_every_pixel(resolution: int):
    pixels = torch.arange(256).view(1, 1, 16, 16)
    code = Thermometer(resolution)(pixels / 255)
    assert code.shape == (1, round(255 / resolution), 16, 16)
    assert set(code.unique().tolist()) == {-1.0, 1.0}
    levels = (code > 0).sum(1).flatten().tolist()
    assert levels == [min(round(p / resolution), code.shape[1]) for p in range(256)]
    assert bool((code[:, 1:] <= code[:, :-1]).all())  # a column of mercury


@pytest.mark.parametrize("resolution", [0, 129])
def test_a_resolution_without_levels_is_refused(resolution: int):
    with pytest.raises(ValueError, match=f"expected 1 to 128 grey values a level, found {resolution}"):
        Thermometer(resolution)


def network(*first: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    body = (nn.BatchNorm2d(16), nn.Hardtanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 5))
    net = nn.Sequential(*first, *body)
    with torch.no_grad():
        net.train()(torch.rand(4, 3, 10, 9))
    return net.eval()


def binary(in_channels: int) -> nn.Module:
    conv = nn.Sequential(nn.Identity(), nn.Conv2d(in_channels, 16, 3, padding=1, bias=False), nn.Identity())
    return bw.binarize(conv, bw.methods.bi_real_net(), where=lambda name, layer: True)


def images() -> torch.Tensor:
    return torch.randint(0, 256, (6, 3, 10, 9), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("resolution", [1, 8, 100])
def test_a_binary_first_layer_reads_pixels(resolution: int, tmp_path: Path):
    channels = 3 * round(255 / resolution)
    net, x = network(Thermometer(resolution), binary(channels)), images()
    report = bw.export(net, tmp_path / "net.bw", x, pixels=PIXELS)
    assert report.differing == 0
    assert report.bits == x.numel() // 3 * channels
    assert report.comparison.signs[0].exact
    graph = read(tmp_path / "net.bw")
    code, conv = graph.ops[:2]
    assert isinstance(code, ops.Thermometer)
    assert isinstance(conv, ops.BinaryConv)
    assert conv.inputs == (code.name,)  # the sign of a sign costs nothing
    pixels = np.arange(256)
    levels = [min(round(p / resolution), len(code.thresholds)) for p in range(256)]
    assert [int((p >= code.thresholds).sum()) for p in pixels] == levels
    expected = interpret(graph, x.numpy())
    for isa in _native.available_isas():
        np.testing.assert_array_equal(bw.load(tmp_path / "net.bw", isa=isa)(x.numpy()), expected)


def test_its_real_values_may_be_read_too(tmp_path: Path):
    net, x = network(Thermometer(100), nn.Conv2d(9, 16, 3)), images()
    net[0].resolution = 85
    report = bw.export(net, tmp_path / "net.bw", x, pixels=PIXELS)
    assert (report.bits, report.differing) == (x.numel() * 3, 0)


def test_equal_normalization_of_all_channels_is_tabulated(tmp_path: Path):
    net, x = network(Thermometer(64), binary(12)), images()
    report = bw.export(net, tmp_path / "net.bw", x, pixels=((0.1,) * 3, (0.5,) * 3))
    assert report.differing == 0


def test_what_is_no_code_of_pixels_is_refused(tmp_path: Path):
    net = network(Thermometer(64), binary(12))
    with pytest.raises(LoweringError, match=r"0 \(Thermometer\): .*its input is not the file's pixels.*pixels="):
        bw.export(net, tmp_path / "net.bw", torch.rand(2, 3, 10, 9))
    with pytest.raises(LoweringError, match=r"0 \(Thermometer\): .*its code differs by channel"):
        bw.export(net, tmp_path / "net.bw", images(), pixels=((0.1, 0.2, 0.3), (0.5, 0.5, 0.5)))
    with pytest.raises(LoweringError, match=r"1 \(Thermometer\): .*its input is not the file's pixels"):
        bw.export(network(nn.ReLU(), Thermometer(64), binary(12)), tmp_path / "net.bw", images(), pixels=PIXELS)
    with pytest.raises(LoweringError, match=r"'input', found 0 \(Thermometer\)"):
        bw.export(net, tmp_path / "net.bw", images(), pixels=PIXELS, first_layer="int16")
