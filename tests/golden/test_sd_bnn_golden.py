"""SD-BNN against numbers computed with the code that its authors published."""

from collections import OrderedDict

import pytest
from blocks import TwoShortcuts
from cases import Case, run_block
from torch import Tensor, nn

from bitwright.core.binarizers import ErrorDecay
from bitwright.methods import sd_bnn
from bitwright.nn.convert import binarize

POINTS = ("start", "mid", "end")
OURS = {
    "dybeta.fc.0.weight": "input_binarizer.reduce",
    "dybeta.fc.2.weight": "input_binarizer.expand",
    "beta.fc.0.weight": "input_binarizer.reduce",
    "beta.fc.2.weight": "input_binarizer.expand",
    "alpha": "weight_binarizer.alpha",
}


def load(name: str) -> Case:
    """The case with our names for the original's parameters."""
    case = Case(name)
    for key in list(case.values):
        own = key
        for original, ours in OURS.items():
            own = own.replace(original, ours)
        case.values[own] = case.values.pop(key)
    return case


def binarized(case: Case, net: nn.Module, **options: str) -> nn.Module:
    """The net binarized, with its surrogates where the file has them."""
    binarize(net, sd_bnn(**options), where=lambda name, layer: layer.kernel_size == (3, 3) or not name)
    for module in net.modules():
        if isinstance(module, ErrorDecay):
            module.t, module.k = case.number("t"), case.number("k")
    return net


def check_gradients(case: Case, layer: nn.Module, part: str) -> None:
    """All parameters of the layer's binarizers that the file has gradients of."""
    expected = case.group(f"grad_param_{part}")
    assert expected
    for name in expected:
        case.check(f"grad_param_{part}{name}", layer.get_parameter(part + name).grad)


def set_parameters(case: Case, layer: nn.Module) -> None:
    for name, value in case.group("param_").items():
        if value.numel():  # the original has no hidden unit below 16 channels; such files do not use it
            layer.get_parameter(name).data.copy_(value)


@pytest.mark.parametrize("name", [f"act_{point}" for point in POINTS] + ["imagenet_act"])
def test_activation(name: str) -> None:
    case = load(f"sdbnn.{name}")
    channels = case["x"].shape[1]
    layer = binarized(case, nn.Conv2d(channels, 8, 1), setup="imagenet" if "imagenet" in name else "cifar10")
    set_parameters(case, layer)
    x = case["x"].clone().requires_grad_()
    out = layer.input_binarizer(x)
    out.backward(case["upstream"])
    case.check("out", out)
    case.check("grad_x", x.grad)
    check_gradients(case, layer, "input_binarizer.")


@pytest.mark.parametrize(
    "name", [f"weight_3x3_{point}" for point in POINTS] + ["weight_1x1_mid", "weight_zero_mean", "imagenet_weight"]
)
def test_weight(name: str) -> None:
    case = load(f"sdbnn.{name}")
    out, inputs, k, _ = case["w"].shape
    layer = binarized(case, nn.Conv2d(inputs, out, k), setup="imagenet" if "imagenet" in name else "cifar10")
    set_parameters(case, layer)
    layer.weight.data.copy_(case["w"])
    w = layer.binarized_weight()
    w.backward(case["upstream"])
    case.check("out", w)
    case.check("grad_w", layer.weight.grad)
    check_gradients(case, layer, "weight_binarizer.")


@pytest.mark.parametrize("name", [f"conv_{point}" for point in POINTS] + ["imagenet_conv"])
def test_convolution(name: str) -> None:
    case = load(f"sdbnn.{name}")
    out, inputs, _, _ = case["w"].shape
    conv = nn.Conv2d(inputs, out, 3, padding=1, bias=False)
    layer = binarized(case, conv, setup="imagenet" if "imagenet" in name else "cifar10")
    set_parameters(case, layer)
    layer.weight.data.copy_(case["w"])
    x = case["x"].clone().requires_grad_()
    y = layer(x)
    y.backward(case["upstream"])
    case.check("out", y)
    case.check("grad_x", x.grad)
    case.check("grad_w", layer.weight.grad)
    check_gradients(case, layer, "")


@pytest.mark.parametrize("point", POINTS)
def test_schedule(point: str) -> None:
    case = Case(f"sdbnn.act_{point}")
    decay = sd_bnn().activation(nn.Conv2d(4, 1, 1)).sign
    decay.set_progress(case.number("epoch") / case.number("epochs"))
    assert (decay.t, decay.k) == pytest.approx((case.number("t"), case.number("k")), rel=1e-6)


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_block(mode: str) -> None:
    case = load(f"sdbnn.block_{mode}")
    run_block(case, binarized(case, TwoShortcuts(nn.Hardtanh, pooled=False, inputs=16)))


class ImageNetBlock(nn.Module):
    """prelu(bn1(conv(x)) + downsample(x))."""

    def __init__(self) -> None:
        super().__init__()
        self.binary_conv = nn.Conv2d(16, 24, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(24)
        self.prelu = nn.PReLU(24)
        around = [("0", nn.AvgPool2d(2)), ("1", nn.Conv2d(16, 24, 1, bias=False)), ("2", nn.BatchNorm2d(24))]
        self.downsample = nn.Sequential(OrderedDict(around))

    def forward(self, x: Tensor) -> Tensor:
        return self.prelu(self.bn1(self.binary_conv(x)) + self.downsample(x))


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_imagenet_block(mode: str) -> None:
    case = load(f"sdbnn.imagenet_block_{mode}")
    run_block(case, binarized(case, ImageNetBlock(), setup="imagenet"))
