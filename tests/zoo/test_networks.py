"""The zoo: binary weights and binary multiply-adds against the published counts, shapes, wiring."""

import copy

import pytest
import torch
from torch import nn

from bitwright import zoo
from bitwright.methods import bi_real_net
from bitwright.nn.convert import binarize
from bitwright.nn.layers import BinaryConv2d


def binary_counts(net: nn.Module, size: int = 32) -> tuple[int, int]:
    """Binary weights, and binary multiply-adds for one square image."""
    weights = products = 0

    def count(layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal weights, products
        assert isinstance(layer, BinaryConv2d)
        weights += layer.weight.numel()
        products += layer.weight.numel() * output.shape[2] * output.shape[3]

    binarize(net, bi_real_net()).eval()
    for module in net.modules():
        if isinstance(module, BinaryConv2d):
            module.register_forward_hook(count)
    with torch.no_grad():
        net(torch.randn(1, 3, size, size))
    return weights, products


@pytest.mark.parametrize(
    ("make", "weights", "products"),
    [
        (zoo.vgg_small, 4_571_136, 603_979_776),
        (zoo.resnet18, 10_985_472, 547_356_672),
        (zoo.resnet20, 267_264, 40_108_032),
    ],
    ids=["vgg_small", "resnet18", "resnet20"],
)
def test_counts_are_the_published_ones(make, weights: int, products: int) -> None:
    found = binary_counts(make())
    assert found == (weights, products)


@pytest.mark.parametrize("make", [zoo.resnet18, zoo.resnet20])
@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize("shortcut", ["conv", "pad"])
def test_wirings_share_their_binary_layers(make, every: int, shortcut: str) -> None:
    net = make(num_classes=7, in_channels=3, width=4, shortcut_every=every, shortcut=shortcut)
    assert binary_counts(copy.deepcopy(net)) == binary_counts(make(width=4))
    stages = 4 if make is zoo.resnet18 else 3
    pointwise = [m for m in net.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1)]
    assert len(pointwise) == (stages - 1 if shortcut == "conv" else 0)
    assert len(net.blocks) == {1: 2, 2: 1}[every] * {3: 9, 4: 8}[stages]
    y = net(torch.randn(2, 3, 16, 16))
    assert y.shape == (2, 7)
    y.sum().backward()
    assert all(p.grad is not None for p in net.parameters())


def test_the_large_stem_makes_a_quarter_of_the_sides() -> None:
    net = zoo.resnet18(width=4, stem="large")
    assert net.stem_pool(net.conv(torch.randn(1, 3, 64, 64))).shape == (1, 4, 16, 16)
    assert net(torch.randn(2, 3, 64, 64)).shape == (2, 10)
    assert binary_counts(net, 128) == binary_counts(zoo.resnet18(width=4))
    assert list(net.state_dict()) == list(zoo.resnet18(width=4).state_dict())


def test_shortcuts_carry_the_input_around() -> None:
    net = zoo.resnet20(width=4, shortcut_every=1, shortcut="pad").eval()
    block = net.blocks[6]
    nn.init.zeros_(block.conv.weight)
    x = torch.randn(1, 4, 6, 6) / 4
    y = block(x)
    assert not y[:, :2].any() and not y[:, 6:].any()
    torch.testing.assert_close(y[:, 2:6], nn.functional.avg_pool2d(x, 2).clamp(-1, 1))


def test_vgg_takes_other_sizes_and_channels() -> None:
    assert zoo.vgg_small(3, in_channels=1, width=4, size=28)(torch.randn(2, 1, 28, 28)).shape == (2, 3)
    with pytest.raises(ValueError, match=r"size: expected at least 8"):
        zoo.vgg_small(size=7)


def test_nonlinearity_is_a_choice() -> None:
    net = zoo.resnet20(width=4, nonlinearity=nn.Identity)
    assert not any(isinstance(m, nn.Hardtanh) for m in net.modules())


@pytest.mark.parametrize(("argument", "value"), [("shortcut_every", 3), ("shortcut", "skip")])
def test_unknown_wirings_are_refused(argument: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"{argument}: expected .*, found"):
        zoo.resnet20(**{argument: value})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"stem: expected .*, found 'huge'"):
        zoo.resnet18(stem="huge")
