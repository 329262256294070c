"""The small real-valued operations of published methods: exported, compared with torch, and run on every kernel."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from trained import Net

import bitwright as bw
from bitwright import _native
from bitwright.core.binarizers import ScaledSign
from bitwright.core.estimators import sign
from bitwright.format.reader import read
from bitwright.ir import ops
from bitwright.ir.interpret import interpret
from bitwright.ir.ops import Graph
from bitwright.lower import export, lower
from bitwright.nn.quantize import Quantize
from bitwright.report.summary import summarize


def check(net: nn.Module, x: Tensor, folder: Path) -> Graph:
    """Export a network, hold it against torch, and every instruction set against the interpreter."""
    path = folder / "net.bw"
    report = export(net, path, x)
    assert report.differing == 0
    graph = read(path)
    found = interpret(graph, x.numpy())
    with torch.no_grad():
        expected = net.eval()(x).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
    for isa in _native.available_isas():
        np.testing.assert_array_equal(bw.load(path, isa=isa)(x.numpy()).view(np.uint32), found.view(np.uint32))
    return graph


def names(graph: Graph) -> list[str]:
    return [type(op).__name__ for op in graph.ops]


def binary(forward: Callable[[nn.Module, Tensor], Tensor], **modules: nn.Module) -> nn.Module:
    """A network whose module `conv` is binary and `norm` has seen something."""
    net = bw.binarize(Net(forward, **modules), bw.methods.bi_real_net(), where=["conv"])
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    return net


def conv(channels: int = 8, **kwargs) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, 3, padding=1, bias=False, **kwargs)


GATES = {
    "linear": (
        lambda m, x: torch.sigmoid(m.up(F.relu(m.down(x.mean((2, 3))))))[:, :, None, None],
        {"down": nn.Linear(8, 2), "up": nn.Linear(2, 8)},
    ),
    "convolution": (
        lambda m, x: m.act(m.up(F.relu(m.down(m.pool(x))))),
        {"pool": nn.AdaptiveAvgPool2d(1), "down": nn.Conv2d(8, 2, 1), "up": nn.Conv2d(2, 8, 1), "act": nn.Sigmoid()},
    ),
    "hard": (
        lambda m, x: m.act(m.up(x.mean((2, 3), keepdim=True).flatten(1))).view(x.size(0), -1, 1, 1).expand_as(x),
        {"up": nn.Linear(8, 8), "act": nn.Hardsigmoid()},
    ),
    "flat": (
        lambda m, x: torch.tanh(m.up(F.adaptive_avg_pool2d(x, 1).view(x.size(0), -1))).reshape(-1, 8, 1, 1),
        {"up": nn.Linear(8, 8, bias=False)},
    ),
    "norm": (
        lambda m, x: F.hardsigmoid(m.norm(m.up(x.flatten(2).mean(2).unsqueeze(2).unsqueeze(3)))),
        {"up": nn.Conv2d(8, 8, 1), "norm": nn.BatchNorm2d(8)},
    ),
}


@pytest.mark.parametrize("gate", GATES)
def test_squeeze_and_excite_in_the_usual_ways(gate, tmp_path):
    squeeze, modules = GATES[gate]
    net = binary(lambda m, x: m.conv(x) * squeeze(m, x), conv=conv(), **modules)
    graph = check(net, torch.randn(3, 8, 7, 9), tmp_path)
    (multiply,) = (op for op in graph.ops if isinstance(op, ops.Multiply))
    assert "BinaryConv" in names(graph)
    assert "Conv" not in names(graph)  # a single pixel is a matter of matrix products
    assert multiply.inputs[0].startswith("conv")


def test_a_shift_from_the_sample_itself_in_front_of_a_sign(tmp_path):
    """SD-BNN: the threshold of a sign is computed from the means of the map."""

    class Shifted(nn.Module):
        def __init__(self, channels: int) -> None:
            super().__init__()
            self.down, self.up = nn.Linear(channels, 2, bias=False), nn.Linear(2, channels, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            shift = torch.sigmoid(self.up(F.relu(self.down(x.mean((2, 3))))))
            return sign(x + shift[:, :, None, None])

    net = binary(lambda m, x: F.hardtanh(m.norm(m.conv(x)) + x), conv=conv(), norm=nn.BatchNorm2d(8))
    net.conv.input_binarizer = Shifted(8)
    graph = check(net, torch.randn(5, 8, 9, 6), tmp_path)
    binarize = next(op for op in graph.ops if isinstance(op, ops.Binarize))
    assert isinstance(next(op for op in graph.ops if op.name == binarize.inputs[0]), ops.Add)
    assert "real-valued" in binarize.note


@pytest.mark.parametrize("stride", [1, 2])
def test_a_map_of_scales(stride, tmp_path):
    """XNOR-Net's K: the mean of magnitudes over the channels, averaged over each window."""
    box = torch.full((1, 1, 3, 3), 1 / 9)

    def forward(m, x):
        k = F.conv2d(x.abs().mean(1, keepdim=True), m.box, stride=stride, padding=1)
        return m.conv(x) * k

    net = binary(forward, conv=conv(stride=stride))
    net.register_buffer("box", box)
    graph = check(net, torch.randn(3, 8, 11, 10), tmp_path)
    assert names(graph).count("Multiply") == 1
    assert names(graph).count("Conv") == 2


@pytest.mark.parametrize("keepdim", [True, False])
@pytest.mark.parametrize("channels", [3, 8])
def test_sums_and_means_over_channels(channels, keepdim, tmp_path):
    def forward(m, x):
        total, mean = x.sum(1, keepdim=keepdim), x.mean(dim=[1], keepdim=keepdim)
        return x * (total if keepdim else total.unsqueeze(1)) + (mean if keepdim else mean[:, None])

    check(Net(forward), torch.randn(2, channels, 5, 4), tmp_path)


def test_sums_and_means_of_vectors(tmp_path):
    net = Net(lambda m, x: x * x.mean(1, keepdim=True) + x.unflatten(1, (2, 6)).sum(2).repeat_interleave(6, 1))
    check(net, torch.randn(3, 12), tmp_path)


def test_sums_over_pixels(tmp_path):
    net = Net(lambda m, x: x - x.sum((2, 3), keepdim=True) / 100 + x.view(x.size(0), 4, -1).mean(-1)[..., None, None])
    assert names(check(net, torch.randn(3, 4, 5, 6), tmp_path)).count("Mean") == 1


def megvii_shuffle(x: Tensor) -> tuple[Tensor, Tensor]:
    """As ShuffleNet V2 is usually written: the batch takes part in it."""
    b, c, h, w = x.shape
    x = x.reshape(b * c // 2, 2, h * w).permute(1, 0, 2).reshape(2, -1, c // 2, h, w)
    return x[0], x[1]


SHUFFLES = {
    "by views": lambda x: x.view(x.size(0), 4, 2, *x.shape[2:]).transpose(1, 2).contiguous().view(x.shape),
    "by torch": lambda x: F.channel_shuffle(x, 2),
    "through the batch": lambda x: torch.cat(megvii_shuffle(x), 1),
    "by index": lambda x: x[:, torch.tensor([3, 1, 7, 0, 2, 5, 4, 6])],
    "by parts": lambda x: torch.cat(x.chunk(4, 1)[::-1], 1),
    "turned and rolled": lambda x: x.flip(1).roll(3, 1),
}


@pytest.mark.parametrize(("channels", "pools"), [(3, 1), (255, 1), (256, 2), (509, 2), (1019, 2)])
def test_maxima_over_channels(channels, pools, tmp_path):
    x = torch.randn(2, channels, 2, 3)
    x[0] -= 9  # no zero that a window might add
    graph = check(Net(lambda m, x: x.amax(1)[:, None] + x.max(1, keepdim=True).values), x, tmp_path)
    assert names(graph).count("MaxPool") == pools


def test_maxima_over_pixels(tmp_path):
    x = torch.randn(2, 3, 7, 300) - 9
    graph = check(Net(lambda m, x: x.amax((2, 3))[:, :, None, None] + F.max_pool2d(x, (7, 300))), x, tmp_path)
    assert names(graph).count("MaxPool") == 2


@pytest.mark.parametrize("first", ["numbers", "map"])
def test_an_outer_product_of_channels_and_pixels(first, tmp_path):
    def forward(m, x):
        t, u = x.amax((2, 3))[:, :, None, None], x.amax(1, keepdim=True)
        return m.conv(x) + (t * u if first == "numbers" else u.expand_as(x) * t)

    graph = check(binary(forward, conv=conv()), torch.randn(3, 8, 5, 6), tmp_path)
    assert names(graph).count("Multiply") == 1


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_shuffles_of_channels(shuffle, tmp_path):
    """Of real numbers, of sums and of bits."""
    moved = SHUFFLES[shuffle]
    net = binary(lambda m, x: moved(m.conv(moved(x))) + x, conv=conv(groups=2))
    net.conv.input_binarizer = Net(lambda m, x: moved(sign(x)))
    graph = check(net, torch.randn(2, 8, 6, 5), tmp_path)
    assert "Decode" not in names(graph)
    assert not {"Flatten", "Unflatten"} & set(names(graph))
    if shuffle != "by parts":
        assert names(graph).count("Concat") == (shuffle == "through the batch") * 3


SLICES = {
    "slices": (lambda x: x[:, 2:5] + x[:, 5:8], {"Channels", "Add"}),
    "one channel": (lambda x: x * x[:, 3:4] + x[:, 0].unsqueeze(1), {"Channels", "Multiply", "Add"}),
    "every second": (lambda x: x[:, ::2, ::3, ::2], {"Channels", "MaxPool"}),
    "split": (lambda x: torch.sigmoid(x.split([3, 2, 3], 1)[0]) * x.split([3, 2, 3], 1)[2],
              {"Channels", "Sigmoid", "Multiply"}),
    "unbind": (lambda x: x.unflatten(1, (2, 4)).unbind(1)[1], {"Channels"}),
    "squeezed": (lambda x: x.unflatten(1, (2, 4)).sum(1), {"Channels", "Add"}),
    "squeezed by four": (lambda x: x.unflatten(1, (4, 2)).mean(1), {"Channels", "Add", "Affine"}),
    "neighbours": (lambda x: x.unflatten(1, (4, 2)).mean(2), {"Channels", "Add", "Affine"}),
    "expanded": (lambda x: x.repeat(1, 3, 1, 1), {"Channels"}),
    "repeated": (lambda x: x.repeat_interleave(2, dim=1) * 2, {"Channels", "Affine"}),
    "expanded and cut": (lambda x: x.repeat(1, 2, 1, 1)[:, :11] - 1, {"Channels", "Affine"}),
    "cropped": (lambda x: x[:, :, 1:, :-2] + 0.5, {"Flatten", "Channels", "Unflatten", "Affine"}),
    "unshuffled pixels": (lambda x: F.pixel_unshuffle(x[:, :2], 2) * 2, {"Flatten", "Channels", "Unflatten", "Affine"}),
    "map of a vector": (lambda x: x.flatten(1).view(-1, 4, 12, 4) + 1, {"Flatten", "Unflatten", "Affine"}),
    "padded": (lambda x: F.pad(x, (1, 0, 2, 3)), {"Conv"}),
    "padded and cut": (lambda x: F.pad(x, (-1, 1, 0, -2, 1, 0)), {"Conv", "PadChannels"}),
    "magnitude": (lambda x: x.abs() + x**2, {"PReLU", "Multiply", "Add"}),
    "swish": (lambda x: F.silu(x) + F.hardswish(x), {"Sigmoid", "Multiply", "Affine", "Clamp", "Add"}),
}  # fmt: skip


@pytest.mark.parametrize("case", SLICES)
def test_parts_and_repetitions(case, tmp_path):
    function, expected = SLICES[case]
    graph = check(Net(lambda m, x: function(x)), torch.randn(2, 8, 6, 4), tmp_path)
    assert set(names(graph)) == expected


def test_what_shuffles_to_and_fro_is_not_there():
    def forward(m, x):
        return (
            x.unflatten(1, (2, 4)).transpose(1, 2).flatten(1, 2).unflatten(1, (4, 2)).transpose(1, 2).flatten(1, 2) + 1
        )

    assert names(lower(Net(forward), torch.randn(2, 8, 3, 3))) == ["Affine"]


def test_an_elastic_link(tmp_path):
    """The input added to the output of a binary 1x1 convolution: repeated to more channels, summed to fewer."""

    def forward(m, x):
        x = m.norm(m.conv(x)) + x.repeat(1, 2, 1, 1)
        return m.last(x) + x.unflatten(1, (4, 4)).sum(1)

    modules = {"conv": nn.Conv2d(8, 16, 1), "norm": nn.BatchNorm2d(16), "last": nn.Conv2d(16, 4, 1)}
    net = bw.binarize(Net(forward, **modules), bw.methods.bi_real_net(), where=["conv", "last"])
    graph = check(net, torch.randn(3, 8, 7, 5), tmp_path)
    assert "Conv" not in names(graph)


def test_a_constant_that_differs_by_pixel(tmp_path):
    """What a zero-padded convolution makes of a constant: three classes of rows and columns."""

    def forward(m, x):
        constant = F.conv2d(torch.ones(1, 8, 9, 11), m.weight, padding=1)
        return m.last(m.conv(x) - constant * 0.3) + m.map

    net = binary(forward, conv=conv(), last=conv())
    net.weight, net.map = nn.Parameter(torch.randn(8, 8, 3, 3)), nn.Parameter(torch.randn(1, 9, 11))
    graph = check(net, torch.randn(2, 8, 9, 11), tmp_path)
    first, second = (op for op in graph.ops if isinstance(op, ops.Shift))
    assert first.values.shape == (8, 3, 3)
    assert first.rows.tolist() == [0, *[1] * 7, 2]
    assert second.values.shape == (8, 9, 11)


def test_a_shift_in_front_of_a_sign(tmp_path):
    shift = torch.randn(8, 1, 13)
    net = binary(lambda m, x: m.conv(m.conv(x) + m.shift) + shift, conv=conv())
    net.register_buffer("shift", torch.tensor([0.0, *[1.0] * 8, 2.0])[:, None] + torch.randn(8, 1, 1))
    graph = check(net, torch.randn(2, 8, 10, 13), tmp_path)
    assert [op.values.shape for op in graph.ops if isinstance(op, ops.Shift)] == [(8, 3, 1), (8, 1, 13)]


def test_a_constant_of_too_many_classes():
    constant = torch.randn(2, 17, 16)
    with pytest.raises(bw.LoweringError, match=r"17 kinds of rows and 16 of columns.*at most 256 such classes"):
        lower(Net(lambda m, x: x + constant), torch.randn(2, 2, 17, 16))


def test_binary_weights_under_real_activations(tmp_path):
    """BinaryConnect and BWN: the file holds a bit for each weight and two levels for each filter."""
    net = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.Flatten(), nn.Linear(256, 4))
    for name in (2, 4):
        bw.binarize_parameter(net[name], "weight", ScaledSign())
    graph = check(net, torch.randn(2, 3, 8, 8), tmp_path)
    bits = {layer.name: layer.bits_per_weight for layer in summarize(graph).layers if layer.weights}
    assert list(bits.values()) == [32.0, 1 + 64 / 144, 1 + 64 / 256]


def test_ceil_mode_where_it_changes_nothing(tmp_path):
    net = Net(lambda m, x: F.max_pool2d(x, 2, ceil_mode=True) + F.avg_pool2d(x, 2, ceil_mode=True))
    check(net, torch.randn(2, 3, 8, 6), tmp_path)


def test_what_no_op_can_take_apart():
    x = torch.randn(2, 8, 6, 6)
    with pytest.raises(bw.LoweringError, match=r"moves values between the samples"):
        lower(Net(lambda m, x: x.transpose(0, 1).reshape(2, 8, 6, 6) + 1), x)
    net = binary(lambda m, x: m.conv(x), conv=conv())
    net.conv.input_binarizer = Net(lambda m, x: sign(x)[:, :, 1:])
    with pytest.raises(bw.LoweringError, match=r"its result has the shape \(8, 5, 6\)"):
        lower(net, x)


@pytest.mark.parametrize("bits", [1, 2, 4, 15])
def test_levels_of_a_shortcut_are_torchs(bits, tmp_path):
    """Every level and every tie, and the float32 numbers beside them."""
    net = binary(lambda m, x: m.quantize(x) + m.conv(x) * 0, quantize=Quantize(bits), conv=conv(1))
    ties = torch.arange(1 - 2**bits, 2**bits).div(2**bits - 1)
    near = torch.cat([ties, ties.nextafter(torch.tensor(9.0)), ties.nextafter(torch.tensor(-9.0))])
    x = torch.cat([near, torch.randn(5000), torch.tensor([-0.0, 1e9, -1e9])])
    x = F.pad(x, (0, -len(x) % 64)).view(1, 1, -1, 64)
    graph = check(net, x, tmp_path)
    expected = net.quantize(x)
    found = interpret(graph, x.numpy())
    np.testing.assert_array_equal(found, expected.numpy())
    assert len(np.unique(found)) == 2**bits or bits == 15
