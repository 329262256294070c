"""What cannot be lowered is refused with the module's name, the reason, and what would work."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from trained import Net

import bitwright as bw
from bitwright.lower import export, lower


def binary(forward, **modules):
    net = Net(forward, conv=nn.Conv2d(3, 4, 3, padding=1), **modules)
    return bw.binarize(net, bw.methods.bi_real_net(), where=["conv"])


X = torch.randn(2, 3, 9, 9)
NOT_LOWERED = {
    "ceil_mode": (
        binary(lambda m, x: m.pool(m.conv(x)), pool=nn.MaxPool2d(2, ceil_mode=True)),
        r"pool \(MaxPool2d\).*ceil",
    ),
    "ceil_mode average": (
        binary(lambda m, x: m.p(m.conv(x)), p=nn.AvgPool2d(2, ceil_mode=True)),
        r"p \(AvgPool2d\).*ceil",
    ),
    "mirrored pixels": (binary(lambda m, x: F.pad(m.conv(x), (1, 1, 1, 1), "reflect")), "other values than 0"),
    "padded with ones": (binary(lambda m, x: F.pad(m.conv(x), (0, 0, 0, 0, 1, 1), value=1.0)), "other values than 0"),
    "even same": (
        binary(lambda m, x: m.real(m.conv(x)), real=nn.Conv2d(4, 4, 2, padding="same")),
        r"real \(Conv2d\).*asymmetric",
    ),
    "softmax": (binary(lambda m, x: m.conv(x).softmax(1)), "softmax.*no such op.*Supported: conv2d"),
    "inner softmax": (binary(lambda m, x: m.act(m.conv(x)), act=nn.Softmax2d()), r"act \(Softmax2d\)"),
    "product that enlarges both": (
        binary(lambda m, x: m.conv(x)[:, :, :1] * m.conv(x)[:, :, :, :1]),
        r"broadcasts \(4, 9, 1\) and \(4, 1, 9\) to \(4, 9, 9\)",
    ),
    "maximum along the rows": (
        binary(lambda m, x: m.conv(x) + m.conv(x).amax(3, keepdim=True)),
        r"maximum over the dimensions \[3\] of 4.*all pixels of a map, or over its channels",
    ),
    "maximum of everything": (binary(lambda m, x: m.conv(x) + x.max()), r"over the dimensions \[0, 1, 2, 3\] of 4"),
    "where the maximum is": (
        binary(lambda m, x: m.conv(x) + x.max(1, keepdim=True).indices),
        "it takes one of several results",
    ),
    "mean of the rows": (binary(lambda m, x: m.conv(x).mean(2)), r"averages over the dimensions \[2\] of 4"),
    "cube": (binary(lambda m, x: m.conv(x) ** 3), "its exponent is not 2"),
    "joined with a constant": (
        binary(lambda m, x: torch.cat([m.conv(x), torch.ones(2, 1, 9, 9)], 1)),
        "one of its parts is constant",
    ),
    "mean of the batch": (
        binary(lambda m, x: m.conv(x) - m.conv(x).mean()),
        r"averages over the dimensions \[0, 1, 2, 3\]",
    ),
    "mixed samples": (binary(lambda m, x: m.conv(x).view(-1, 9)), "between the samples of a batch"),
    "other rank": (binary(lambda m, x: m.conv(x).view(-1, 2, 2, 9, 9)), r"its result has the shape \(2, 2, 9, 9\)"),
    "pixelwise constant": (binary(lambda m, x: m.conv(x) * torch.arange(9.0)), "differs by pixel"),
    "batch statistics": (
        binary(lambda m, x: m.norm(m.conv(x)), norm=nn.BatchNorm2d(4, track_running_stats=False)),
        r"norm \(BatchNorm2d\).*statistics of the batch",
    ),
    "branch": (binary(lambda m, x: m.conv(x) if x.sum() > 0 else x), "torch.export cannot capture"),
    "two results": (binary(lambda m, x: (m.conv(x), x)), "returns 2 values"),
    "no result": (Net(lambda m, x: torch.zeros(x.shape)), "none to compute"),
    "identity": (Net(lambda m, x: x), "none to compute"),
    "double": (binary(lambda m, x: m.conv(x)).double(), r"conv \(BinaryConv2d\): weight is torch.float64.*net.float"),
}


@pytest.mark.parametrize("case", NOT_LOWERED)
def test_refused(case):
    net, message = NOT_LOWERED[case]
    with pytest.raises(bw.LoweringError, match=message):
        lower(net, X)
    assert net.training


def test_weights_with_more_than_two_levels():
    net = binary(lambda m, x: m.conv(x))
    net.conv.weight_binarizer = Net(lambda m, w: w)
    with pytest.raises(bw.LoweringError, match=r"conv \(BinaryConv2d\): filter 0 holds 27 values.*check_binarizer"):
        lower(net, X)


@pytest.mark.parametrize("binarizer", [Net(lambda m, x: x), nn.Hardtanh()])
def test_real_input_of_a_binary_layer(binarizer):
    net = binary(lambda m, x: m.conv(x))
    net.conv.input_binarizer = binarizer
    with pytest.raises(bw.LoweringError, match=r"conv \(BinaryConv2d\): its input is real-valued.*input_binarizer"):
        lower(net, X)


def test_sign_of_torch():
    net = binary(lambda m, x: m.conv(x))
    net.conv.input_binarizer = Net(lambda m, x: torch.sign(x))
    with pytest.raises(bw.LoweringError, match=r"conv\.input_binarizer.*third value"):
        lower(net, X)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["conv.weight", "norm.bias", "norm.running_var"])
def test_values_that_are_not_finite(name, value, tmp_path):
    net = binary(lambda m, x: m.norm(m.conv(x)), norm=nn.BatchNorm2d(4))
    net.state_dict()[name].view(-1)[1] = value
    with pytest.raises(bw.LoweringError, match=rf"{name.split('.')[0]} \(.*: {name.split('.')[1]} holds 1 values"):
        export(net, tmp_path / "net.bw", X)
    assert not list(tmp_path.iterdir())


def test_callers_mistakes():
    net = binary(lambda m, x: m.conv(x))
    with pytest.raises(TypeError, match=r"expected a torch.Tensor, found ndarray"):
        lower(net, X.numpy())
    with pytest.raises(TypeError, match=r"expected torch.float32, found torch.float64"):
        lower(net, X.double())
    with pytest.raises(TypeError, match=r"expected torch.uint8 because `pixels` is given"):
        lower(net, X, pixels=([0.5] * 3, [0.5] * 3))
    with pytest.raises(ValueError, match=r"\(N, C, H, W\) or \(N, F\).*found \(3, 9, 9\)"):
        lower(net, X[0])
    with pytest.raises(ValueError, match="3 numbers each"):
        lower(net, X.to(torch.uint8), pixels=([0.5], [0.5]))
    with pytest.raises(ValueError, match="expected 4 names"):
        lower(net, X, labels=["only one"])


def test_folder_that_takes_no_files(tmp_path):
    net = binary(lambda m, x: m.conv(x))
    with pytest.raises(bw.BitwrightError, match="nowhere"):
        export(net, tmp_path / "nowhere" / "net.bw", X)
