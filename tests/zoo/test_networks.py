"""The zoo: shapes, wirings, real layers, refusals; and one training step of every network, float and binary."""

import pytest
import torch
import torch.nn.functional as F
from networks import NETWORKS, SIDES
from torch import Tensor, nn

import bitwright as bw
from bitwright import zoo
from bitwright.nn.activations import RPReLU
from bitwright.nn.layers import BinaryConv2d, BinaryLinear
from bitwright.zoo.blocks import (
    ActThenSumBlock,
    NormFirstBlock,
    SingleBlock,
    SumLastBlock,
    make_nonlinearity,
    make_shortcut,
)
from bitwright.zoo.bottleneck import Bottleneck
from bitwright.zoo.frac_bnn import FracBlock
from bitwright.zoo.reactnet import ReActBlock, mobile_stages


def test_every_network_is_here() -> None:
    assert NETWORKS.keys() == SIDES.keys() == set(zoo.__all__)


def train_a_step(net: nn.Module, side: int) -> None:
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    loss = F.cross_entropy(net(torch.rand(4, 1, side, side)), torch.randint(0, 4, (4,))) + bw.penalty(net)
    loss.backward()
    optimizer.step()
    bw.after_step(net)
    assert loss.isfinite()
    for name, parameter in net.named_parameters():
        if not name.endswith("signs.patterns"):  # Sub-bit's, which learn on every 25th step
            assert parameter.grad is not None and parameter.grad.isfinite().all(), name
    moved = [name for name, p in net.named_parameters() if not torch.equal(p, before[name])]
    assert len(moved) > len(before) / 2


@pytest.mark.parametrize("name", NETWORKS)
def test_a_float_network_learns(name: str) -> None:
    train_a_step(NETWORKS[name](), SIDES[name])


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("method", bw.methods.__all__)
def test_every_method_learns_on_every_network(method: str, name: str) -> None:
    net = bw.binarize(NETWORKS[name](), getattr(bw.methods, method)())
    train_a_step(net, SIDES[name])
    with torch.no_grad():
        assert net.eval()(torch.rand(2, 1, SIDES[name], SIDES[name])).isfinite().all()


@pytest.mark.parametrize("name", NETWORKS)
def test_all_layers_but_the_real_ones_are_binary(name: str) -> None:
    net = bw.binarize(NETWORKS[name](), bw.methods.bi_real_net())
    real = set(net.real_layers)
    for path, layer in net.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            assert isinstance(layer, BinaryConv2d | BinaryLinear) != (path in real), path
            around = ".shortcut" in path or path in ("conv", "features.0", "classifier", "blocks.0.conv1")
            assert around or path not in real, path


def test_some_first_layers_take_their_input_as_it_is() -> None:
    net = bw.binarize(NETWORKS["bnn_vgg"](), bw.methods.bi_real_net()).eval()
    first, x = net.features[0], torch.randn(1, 1, 16, 16)
    assert isinstance(first.input_binarizer, nn.Identity) and first.rescale is None
    torch.testing.assert_close(first(x), F.conv2d(x, first.binarized_weight(), padding=1))
    coded = bw.binarize(NETWORKS["frac_bnn_resnet20"](), bw.methods.react_net())
    codes = coded.thermometer(torch.rand(1, 1, 16, 16))
    assert not list(coded.conv.input_binarizer.parameters())
    assert torch.equal(coded.conv.input_binarizer(codes), codes)


@pytest.mark.parametrize("make", [zoo.resnet18, zoo.resnet20])
@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize("shortcut", ["conv", "strided_conv", "pool_conv", "conv_pool", "pad", "subsample", "copies"])
def test_wirings_share_their_binary_layers(make, every: int, shortcut: str) -> None:
    net = make(num_classes=7, in_channels=3, width=4, shortcut_every=every, shortcut=shortcut)
    stages = 4 if make is zoo.resnet18 else 3
    pointwise = [m for m in net.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1)]
    assert len(pointwise) == (stages - 1 if "conv" in shortcut else 0)
    assert len(net.blocks) == {1: 2, 2: 1}[every] * {3: 9, 4: 8}[stages]
    y = net(torch.randn(2, 3, 16, 16))
    assert y.shape == (2, 7)
    y.sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    x = torch.zeros(1, 3, 32, 32)
    found, usual = (bw.count(bw.binarize(n, bw.methods.bi_real_net()), x) for n in (net, make(width=4)))
    assert (found.binary_weights, found.bops) == (usual.binary_weights, usual.bops)


def test_shortcuts_where_the_shape_changes() -> None:
    x = torch.randn(2, 4, 6, 6)
    half = F.avg_pool2d(x, 2)
    padded = make_shortcut(4, 8, 2, "pad", usual="pool_conv")(x)
    assert torch.equal(padded[:, 2:6], half) and not padded[:, :2].any() and not padded[:, 6:].any()
    thinned = make_shortcut(4, 8, 2, "subsample", usual="pool_conv")(x)
    assert torch.equal(thinned, F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2)))
    for kind, way in {"strided_conv": x[:, :, ::2, ::2], "pool_conv": half, "conv_pool": half}.items():
        branch = make_shortcut(4, 8, 2, kind, usual="pool_conv").eval()
        conv = next(m for m in branch if isinstance(m, nn.Conv2d))
        scale = (1 + 1e-5) ** -0.5  # of a fresh batch norm
        torch.testing.assert_close(branch(x), F.conv2d(way, conv.weight) * scale)
    assert torch.equal(make_shortcut(4, 8, 2, "copies", usual="pool_conv")(x), torch.cat([half, half], 1))
    assert isinstance(make_shortcut(4, 4, 1, "conv", usual="pool_conv"), nn.Identity)


def test_a_shortcut_may_be_binary() -> None:
    net = zoo.resnet20(width=4, shortcut="binary", nonlinearity="fprelu")
    assert net.real_layers == ("conv", "classifier")
    assert net(torch.randn(2, 3, 16, 16)).shape == (2, 10)
    found = bw.count(bw.binarize(net, bw.methods.bi_real_net()), torch.zeros(1, 3, 16, 16))
    assert found.binary_weights == 16_704 + 4 * 8 + 8 * 16


def test_orders_of_a_block() -> None:
    x = torch.randn(4, 4, 6, 6)
    for block, run in {
        SingleBlock: lambda b: b.act(b.bn(b.conv(x)) + x),
        ActThenSumBlock: lambda b: b.act(b.bn(b.conv(x))) + x,
        NormFirstBlock: lambda b: b.act(b.bn(b.conv(b.bn_in(x))) + x),
        SumLastBlock: lambda b: b.act(b.conv(b.bn(x))) + x,
    }.items():
        made = block(4, 4, 1, "conv", "prelu")
        assert torch.equal(made(x), run(made))


@pytest.mark.parametrize("order", ["conv-norm-act-add", "norm-conv-norm-add-act", "norm-conv-act-add"])
def test_networks_of_other_orders(order: str) -> None:
    net = zoo.resnet20(width=4, order=order, shortcut="conv_pool", nonlinearity="prelu", head="relu")
    assert net(torch.randn(2, 3, 16, 16)).shape == (2, 10)
    with pytest.raises(ValueError, match=r"order: expected one of 'conv-norm-add-act', found '"):
        zoo.resnet20(width=4, order=order, shortcut_every=2)


def test_the_large_stem_makes_a_quarter_of_the_sides() -> None:
    net = zoo.resnet18(width=4, stem="large")
    assert net.stem_pool(net.conv(torch.randn(1, 3, 64, 64))).shape == (1, 4, 16, 16)
    assert net(torch.randn(2, 3, 64, 64)).shape == (2, 10)
    assert list(net.state_dict()) == list(zoo.resnet18(width=4).state_dict())


def test_shortcuts_carry_the_input_around() -> None:
    net = zoo.resnet20(width=4, shortcut_every=1, shortcut="pad").eval()
    block = net.blocks[6]
    nn.init.zeros_(block.conv.weight)
    x = torch.randn(1, 4, 6, 6) / 4
    y = block(x)
    assert not y[:, :2].any() and not y[:, 6:].any()
    torch.testing.assert_close(y[:, 2:6], F.avg_pool2d(x, 2).clamp(-1, 1))


def test_heads_and_stems() -> None:
    plain = zoo.resnet20(width=4, head="plain", stem_nonlinearity="identity").eval()
    assert {"head_bn.weight"} < set(zoo.resnet20(width=4).state_dict()) - set(plain.state_dict())
    assert isinstance(plain.act, nn.Identity) and isinstance(plain.blocks[0].act, nn.Hardtanh)
    relu = zoo.resnet20(width=4, head="relu", stem_nonlinearity="identity").eval()
    relu.load_state_dict(plain.state_dict())
    features: list[Tensor] = []
    plain.blocks.register_forward_hook(lambda module, inputs, output: features.append(output))
    x = torch.randn(2, 3, 16, 16)
    plain(x)
    assert torch.equal(relu(x), relu.classifier(features[0].relu().mean((2, 3))))


def test_both_streams_of_a_bottleneck() -> None:
    block = Bottleneck(8, 8, 1).eval()
    for conv in (block.conv1, block.conv2, block.conv3):
        nn.init.zeros_(conv.weight)
    narrow, x = torch.randn(1, 2, 4, 4), torch.randn(1, 8, 4, 4)
    assert all(torch.equal(a, b) for a, b in zip(block(narrow, x), (narrow, x), strict=True))
    first = Bottleneck(8, 8, 1, first=True)
    assert first.shortcut1 is None
    torch.testing.assert_close(first.clip(torch.tensor([-3.0, -0.5, 1.0, 11.0])), torch.tensor([-1.2, -0.5, 1.0, 2.0]))
    net = zoo.resnet50(width=4)
    assert [len([b for b in net.blocks if b.conv3.out_channels == 16 * n]) for n in (1, 2, 4, 8)] == [3, 4, 6, 3]


def test_channels_double_by_repetition() -> None:
    block = ReActBlock(4, 8, 2, "identity").eval()
    for conv in (block.conv1, block.conv2):
        nn.init.zeros_(conv.weight)
    x = torch.randn(1, 4, 4, 4)
    half = F.avg_pool2d(x, 2)
    assert torch.equal(block(x), torch.cat([half, half], 1))
    assert sum(conv.weight.numel() for conv in (block.conv1, block.conv2)) == (9 + 2) * 4**2
    frac = FracBlock(4, 8, 3, 2, shortcut_bits=2).eval()
    nn.init.zeros_(frac.conv.weight)
    values = frac.shortcut(torch.tensor([-5.0, -0.4, 0.4, 5.0]).view(1, 1, 2, 2).expand(1, 4, 2, 2))
    torch.testing.assert_close(values, torch.zeros(1, 8, 1, 1))
    assert [s for _, _, s in mobile_stages(32)] == [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1]
    assert mobile_stages(32)[-2:] == [(512, 1024, 2), (1024, 1024, 1)]


def test_sizes_and_channels() -> None:
    assert zoo.vgg_small(3, in_channels=1, width=4, size=28)(torch.randn(2, 1, 28, 28)).shape == (2, 3)
    for make in (zoo.vgg_small, zoo.bnn_vgg):
        with pytest.raises(ValueError, match=r"size: expected at least 8"):
            make(size=7)
        with pytest.raises(ValueError, match=r"nonlinearity: expected one of"):
            make(nonlinearity="softplus")
        kinds = [type(module) for module in make(width=4, nonlinearity="relu").modules()]
        assert nn.Hardtanh not in kinds and kinds.count(nn.ReLU) == (6 if make is zoo.vgg_small else 8)
    assert zoo.alexnet(3, in_channels=1, width=6, hidden=4, size=127).eval()(torch.randn(1, 1, 127, 127)).shape == (
        1,
        3,
    )
    with pytest.raises(ValueError, match=r"size: expected at least 63"):
        zoo.alexnet(size=62)


def test_nonlinearities() -> None:
    net = zoo.resnet20(width=4, nonlinearity=nn.Identity)
    assert not any(isinstance(m, nn.Hardtanh) for m in net.modules())
    assert make_nonlinearity(nn.Hardtanh, 4).max_val == 1
    assert [len(make_nonlinearity(kind, 4).slope) for kind in ("rprelu", RPReLU)] == [4, 4]
    assert make_nonlinearity("prelu", 4).weight.shape == (4,)
    with pytest.raises(ValueError, match=r"nonlinearity: expected one of .*, found 'relu7'"):
        zoo.reactnet_a(nonlinearity="relu7")


@pytest.mark.parametrize(
    ("argument", "value"), [("shortcut_every", 3), ("shortcut", "skip"), ("order", "conv-act"), ("head", "long")]
)
def test_unknown_wirings_are_refused(argument: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"{argument}: expected .*, found"):
        zoo.resnet20(**{argument: value})  # type: ignore[arg-type]
    for make in (zoo.resnet18, zoo.resnet50):
        with pytest.raises(ValueError, match=r"stem: expected .*, found 'huge'"):
            make(stem="huge")
