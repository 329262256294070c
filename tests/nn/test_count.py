"""Counting against the figures that the papers publish, and against small networks counted by hand."""

import pytest
import torch
from torch import nn

import bitwright as bw
from bitwright import zoo
from bitwright.nn.count import Count

BI_REAL = {"shortcut_every": 1, "nonlinearity": "identity", "stem": "large", "head": "plain"}


def counted(net: nn.Module, side: int) -> Count:
    return bw.count(bw.binarize(net, bw.methods.bi_real_net()), torch.zeros(1, 3, side, side))


@pytest.mark.parametrize(
    ("make", "side", "weights", "products"),
    [
        (zoo.alexnet, 224, 58_236_928, 1_025_744_896),
        (zoo.bnn_vgg, 32, 14_022_016, 603_979_776 + 9_447_424),
        (zoo.vgg_small, 32, 4_571_136, 603_979_776),
        (zoo.resnet18, 32, 10_985_472, 547_356_672),
        (zoo.resnet20, 32, 267_264, 40_108_032),
        (lambda: zoo.resnet18(1000, **BI_REAL), 224, 10_985_472, 1_676_279_808),
        (zoo.reactnet18, 224, 10_985_472, 1_676_279_808),
        (zoo.resnet34, 224, 21_086_208, 3_525_967_872),
        (zoo.resnet50, 224, 20_672_512, 3_596_615_680),
        (zoo.reactnet_a, 224, 28_253_184, 4_816_896_000),
        (zoo.frac_bnn_resnet20, 32, 281_088, 14_155_776 + 40_108_032),
        (zoo.frac_bnn_mobilenet, 224, 28_280_832, 346_816_512 + 4_816_896_000),
    ],
    ids=[
        "alexnet", "bnn_vgg", "vgg_small", "resnet18-32", "resnet20", "resnet18-224", "reactnet18", "resnet34",
        "resnet50", "reactnet_a", "frac_bnn_resnet20", "frac_bnn_mobilenet",
    ],
)  # fmt: skip
def test_binary_weights_and_products(make, side: int, weights: int, products: int) -> None:
    found = counted(make(), side)
    assert (found.binary_weights, found.bops) == (weights, products)


def test_published_figures() -> None:
    """As printed: operations of Bi-Real Net (18 and 34 layers), ReActNet and FracBNN; memory of Bi-Real Net."""
    bi_real18, bi_real34 = counted(zoo.resnet18(1000, **BI_REAL), 224), counted(zoo.resnet34(), 224)
    stem, pooled, linear = 118_013_952, 19_267_584, 512_000
    assert bi_real18.flops == bi_real34.flops == stem + pooled + linear
    assert bi_real18.ops == bi_real18.bops / 64 + bi_real18.flops == 163_985_408
    assert [round(net.ops / 1e8, 2) for net in (bi_real18, bi_real34)] == [1.64, 1.93]
    assert round(counted(zoo.reactnet_a(), 224).ops / 1e8, 2) == 0.87
    # the paper has 33.6 and 43.7 Mbit and does not say what counts as a real parameter
    assert [net.memory_bits / 1e6 for net in (bi_real18, bi_real34)] == pytest.approx([33.6, 43.7], rel=0.005)
    frac = counted(zoo.frac_bnn_mobilenet(), 224)
    assert round(frac.binary_weights / 1e6, 2) == 28.28
    assert [round(part / 1e6, 1) for part in (frac.layers[0].bops, frac.bops - frac.layers[0].bops)] == [346.8, 4816.9]


def test_real_shortcuts_may_be_counted_with_one_stride_or_as_binary() -> None:
    """BNN's row in later tables binarizes the shortcuts too, at the smaller size; Si-BNN trains them at the larger."""
    everything = bw.binarize(
        zoo.resnet18(1000, **BI_REAL),
        bw.methods.bi_real_net(),
        where=lambda name, layer: name not in ("conv", "classifier"),
    )
    assert round(bw.count(everything, torch.zeros(1, 3, 224, 224)).bops / 1e9, 3) == 1.696
    sibnn = zoo.resnet18(1000, order="norm-conv-norm-add-act", **(BI_REAL | {"shortcut": "conv_pool", "head": "relu"}))
    found = counted(sibnn, 224)
    assert found.flops == 118_013_952 + 4 * 19_267_584 + 512_000 and found.bops == 1_676_279_808


def test_a_network_by_hand() -> None:
    net = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2, bias=False),
        nn.PReLU(6), nn.Flatten(), nn.Linear(6 * 4 * 4, 5), nn.Linear(5, 3),
    )  # fmt: skip
    bw.binarize(net, bw.methods.sbnn(), where=["2", "5"])
    net[0].eval()
    modes = [m.training for m in net.modules()]
    statistics = net[1].running_mean.clone()
    found = bw.count(net, torch.randn(3, 2, 8, 8))
    assert [layer.name for layer in found.layers] == ["0", "1", "2", "3", "5", "6"]
    assert [layer.binary_weights for layer in found.layers] == [0, 0, 108, 0, 480, 0]
    assert [layer.real_weights for layer in found.layers] == [
        76,
        8,
        0,
        6,
        5,
        18,
    ]  # tau and phi are in the packed weight
    assert [layer.bops for layer in found.layers] == [0, 0, 108 * 16, 0, 480, 0]
    assert [layer.flops for layer in found.layers] == [72 * 64, 0, 0, 0, 0, 15]
    assert found.ops == (1728 + 480) / 64 + 4608 + 15 and found.memory_bits == 588 + 32 * 113
    assert str(found).splitlines()[-1] == "4,658 OPs, 4,204 bits of memory"
    assert [m.training for m in net.modules()] == modes and torch.equal(net[1].running_mean, statistics)
    assert not any(m._forward_hooks for m in net.modules())


def test_what_a_method_adds_counts() -> None:
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(64, 2))
    thresholds = bw.count(bw.binarize(net, bw.methods.react_net()), torch.randn(2, 1, 8, 8))
    assert {layer.name: layer.real_weights for layer in thresholds.layers}["1.input_binarizer"] == 4


def test_binary_weights_of_real_activations_cost_real_operations() -> None:
    found = counted(zoo.bnn_vgg(width=4), 32)
    assert found.layers[0].binary_weights == 108 and found.flops == 108 * 32 * 32


def test_shared_layers_hold_their_weights_once_and_work_each_time() -> None:
    layer = nn.Linear(4, 4, bias=False)
    found = bw.count(nn.Sequential(layer, nn.ReLU(), layer), torch.randn(1, 4))
    assert (found.real_weights, found.flops, found.bops) == (16, 32, 0)


def test_hooks_go_when_the_network_fails() -> None:
    net = nn.Sequential(nn.Linear(4, 4))
    with pytest.raises(RuntimeError):
        bw.count(net, torch.randn(1, 5))
    assert not net[0]._forward_hooks and net.training
