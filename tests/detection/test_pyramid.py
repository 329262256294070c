"""Feature pyramids and detectors: shapes, which layers become binary, and packed files."""

import numpy as np
import pytest
import torch
from networks import NETWORKS, SIDES
from torch import Tensor, nn

import bitwright as bw
from bitwright.detection import detector, feature_pyramid
from bitwright.nas.supernet import supernet
from bitwright.nn.layers import BinaryConv2d
from bitwright.runtime.reference import NumpyEngine

SMALL_SPACE = "cifar-small"


class Own(nn.Module):
    """A body of the user's: no real_layers, maps that have no module of their own in between."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4))
        self.down = nn.Conv2d(4, 6, 3, 2, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.deeper = nn.Sequential(nn.Conv2d(6, 8, 3, 2, padding=1), nn.BatchNorm2d(8))
        self.top = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.top(self.deeper(self.norm(self.down(self.stem(x)))).mean((2, 3)))


def settle(net, side, channels=1):
    """Statistics of batch norm that are not those of fresh layers."""
    torch.manual_seed(0)
    net.train()
    for _ in range(2):
        net(torch.randn(4, channels, side, side))
    return net.eval()


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_has_a_pyramid(name):
    side = SIDES[name]
    net = NETWORKS[name]().eval()
    keys = set(net.state_dict())
    x = torch.randn(2, 1, side, side)
    pyramid = feature_pyramid(net, levels=2, example=x)
    maps = pyramid(x)
    assert list(maps) == list(pyramid.names)
    sides = [value.shape[2] for value in maps.values()]
    assert side >= sides[0] > sides[1] > 1
    assert {key.removeprefix("net.") for key in pyramid.state_dict()} == keys
    binary = bw.binarize(pyramid, bw.methods.bi_real_net())
    twin = bw.binarize(NETWORKS[name](), bw.methods.bi_real_net())
    layers = [{n for n, m in net.named_modules() if isinstance(m, BinaryConv2d)} for net in (binary.net, twin)]
    assert layers[0] == layers[1]


def test_maps_are_those_of_the_network_by_its_own_names():
    net = NETWORKS["resnet20"]().eval()
    x = torch.randn(2, 1, 16, 16)
    found = feature_pyramid(net, ["blocks.17", "blocks.5"])(x)
    assert list(found) == ["blocks.17", "blocks.5"]
    assert feature_pyramid(net, levels=3, example=x).names == ("blocks.5", "blocks.11", "blocks.17")
    with torch.no_grad():
        stem = net.act(net.bn(net.conv(x)))
        assert torch.equal(found["blocks.5"], net.blocks[:6](stem)) and torch.equal(
            found["blocks.17"], net.blocks(stem)
        )


def test_a_network_of_ones_own_keeps_its_first_and_last_layer_real():
    pyramid = bw.binarize(feature_pyramid(Own(), levels=2, example=torch.zeros(1, 1, 16, 16)), bw.methods.xnor_net())
    assert pyramid.names == ("norm", "deeper")
    assert [n for n, m in pyramid.named_modules() if isinstance(m, BinaryConv2d)] == ["net.down", "net.deeper.0"]


def test_what_a_network_says_of_its_inputs_goes_along():
    net = NETWORKS["frac_bnn_resnet20"]()
    pyramid = feature_pyramid(net, levels=2, example=torch.zeros(1, 1, 16, 16))
    assert net.input_binarizers and {f"net.{name}" for name in net.input_binarizers} == set(pyramid.input_binarizers)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "the names of modules, or an example"),
        ({"names": ["blocks.99"]}, "has no module 'blocks.99'"),
        ({"levels": 4, "example": torch.zeros(1, 1, 16, 16)}, "has maps of 16x16, 8x8, 4x4, expected from 1 to 3"),
    ],
)
def test_mistakes_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        feature_pyramid(NETWORKS["resnet20"](), **arguments)


def check_packed(net, x, path):
    """The file says what the interpreter says, bit for bit, and what torch says."""
    report = bw.export(net, path, x)
    assert report.differing == 0
    with torch.no_grad():
        wanted = net(x)
    engine = bw.load(path)
    found, slow = engine(x.numpy()), NumpyEngine(path)(x.numpy())
    assert list(found) == list(wanted) == list(engine.output_shapes)
    for name, value in wanted.items():
        assert found[name].shape == value.shape
        assert np.array_equal(found[name], slow[name])
        np.testing.assert_allclose(found[name], value.numpy(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["vgg_small", "nas_bnn"])
def test_a_packed_pyramid_returns_the_maps(name, tmp_path):
    side = SIDES[name]
    pyramid = feature_pyramid(NETWORKS[name](), levels=2, example=torch.zeros(1, 1, side, side))
    net = settle(bw.binarize(pyramid, bw.methods.react_net()), side)
    check_packed(net, torch.randn(3, 1, side, side), tmp_path / "pyramid.bw")


def test_a_packed_pyramid_of_ones_own(tmp_path):
    net = bw.binarize(feature_pyramid(Own(), ["deeper", "norm"]), bw.methods.bi_real_net())
    check_packed(settle(net, 16), torch.randn(3, 1, 16, 16), tmp_path / "own.bw")


def test_a_searched_network_is_the_body_of_a_packed_detector(tmp_path):
    shared = supernet(4, 1, SMALL_SPACE)
    searched = shared.extract(shared.space.smallest())
    net = detector(searched, 3, example=torch.zeros(1, 1, 32, 32), width=8)
    assert all(name.startswith("blocks.") and name.count(".") == 1 for name in net.pyramid.names)
    heads = [n for n, m in net.heads.named_modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
    bw.binarize(net, bw.methods.react_net(), where=[f"heads.{name}" for name in heads])
    check_packed(settle(net, 32), torch.randn(2, 1, 32, 32), tmp_path / "searched.bw")


def test_a_packed_detector(tmp_path):
    net = detector(NETWORKS["nas_bnn"](), 3, example=torch.zeros(1, 1, 16, 16), width=8, depth=2)
    net = bw.binarize(net, bw.methods.sbnn())
    binary = {n for n, m in net.heads.named_modules() if isinstance(m, BinaryConv2d)}
    assert binary == {f"{level}.body.{place}" for level in (0, 1) for place in (0, 3)}
    x = torch.randn(3, 1, 16, 16)
    shapes = {name: tuple(value.shape) for name, value in net(x).items()}
    assert shapes == {
        "classes0": (3, 3, 8, 8), "boxes0": (3, 4, 8, 8), "classes1": (3, 3, 4, 4), "boxes1": (3, 4, 4, 4)
    }  # fmt: skip
    check_packed(settle(net, 16), x, tmp_path / "detector.bw")


def test_a_fresh_detector_finds_next_to_nothing():
    net = detector(NETWORKS["resnet20"](), 3, example=torch.zeros(1, 1, 16, 16))
    scores = net(torch.randn(2, 1, 16, 16))["classes0"].sigmoid().detach()
    assert 0.005 < float(scores.mean()) < 0.02


@pytest.mark.parametrize("wrong", [{"classes": 0}, {"width": 0}, {"depth": 0}])
def test_a_detector_needs_positive_numbers(wrong):
    with pytest.raises(ValueError, match="expected 1 or more, found 0"):
        detector(NETWORKS["resnet20"](), **{"classes": 2, "example": torch.zeros(1, 1, 16, 16), **wrong})


def test_modules_that_return_no_maps_are_refused():
    with pytest.raises(ValueError, match=r"classifier returns a tensor of shape \(1, 4\), expected maps"):
        detector(NETWORKS["resnet20"](), 2, example=torch.zeros(1, 1, 16, 16), names=["classifier"])
