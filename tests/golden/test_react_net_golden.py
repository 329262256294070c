"""ReActNet against numbers computed with the code that its authors published."""

import pytest
import torch
import torch.nn.functional as F
from cases import Case, check_sign, run_block, run_layer
from torch import Tensor, nn

from bitwright.core.estimators import approx_sign
from bitwright.methods import react_net
from bitwright.nn.activations import RPReLU
from bitwright.nn.convert import binarize

RPRELU = {"a.bias": "shift_in", "prelu.weight": "slope", "b.bias": "shift_out"}


def renamed(case: Case, names: dict[str, str]) -> Case:
    """The case with our names for the original's parameters."""
    for old, new in names.items():
        for prefix in ("param_", "grad_param_"):
            case.values[prefix + new] = case.values.pop(prefix + old).reshape(-1)
    return case


@pytest.mark.parametrize("name", ["reactnet.act", "reactnet.act_edges"])
def test_activation(name: str) -> None:
    check_sign(Case(name), approx_sign)


@pytest.mark.parametrize("name", ["reactnet.weight_1x1", "reactnet.weight_3x3", "reactnet.weight_zeros"])
def test_weight(name: str) -> None:
    case = Case(name)
    w = case["w"].clone().requires_grad_()
    out = react_net().weight(nn.Conv2d(1, 1, 1))(w)
    out.backward(case["upstream"])
    case.check("out", out, where=w != 0)
    case.check("grad_w", w.grad)


@pytest.mark.parametrize("name", ["reactnet.conv", "reactnet.rsign_conv"])
def test_convolution(name: str) -> None:
    case = Case(name)
    layer = binarize(nn.Conv2d(4, 8, 3, padding=1, bias=False), react_net(), where=[""])
    layer.weight.data.copy_(case["w"])
    learned = "param_bias.bias" in case.values
    if learned:
        layer.input_binarizer.bias.data.copy_(case["param_bias.bias"][0])
    else:
        layer.input_binarizer = nn.Identity()  # the file's input is binary already
    run_layer(case, layer)
    if learned:
        case.check("grad_param_bias.bias", layer.input_binarizer.bias.grad)


def test_rprelu() -> None:
    case = renamed(Case("reactnet.rprelu"), RPRELU)
    act = RPReLU(4)
    act.load_state_dict({key: case[f"param_{key}"] for key in RPRELU.values()})
    x = case["x"].clone().requires_grad_()
    out = act(x)
    out.backward(case["upstream"])
    case.check("out", out)
    case.check("grad_x", x.grad)
    for key, parameter in act.named_parameters():
        case.check(f"grad_param_{key}", parameter.grad)


class ResNetBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.binary_conv = nn.Conv2d(8, 12, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(12)
        self.downsample = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(8, 12, 1, bias=False), nn.BatchNorm2d(12))
        self.act = RPReLU(12)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn1(self.binary_conv(x)) + self.downsample(x))


class MobileNetBlock(nn.Module):
    """Halves the sides and doubles the channels: two 1x1 convolutions beside each other read the same bits."""

    def __init__(self) -> None:
        super().__init__()
        self.binary_3x3 = nn.Conv2d(8, 8, 3, 2, 1, bias=False)
        self.binary_pw_down1 = nn.Conv2d(8, 8, 1, bias=False)
        self.binary_pw_down2 = nn.Conv2d(8, 8, 1, bias=False)
        self.bn1, self.bn2_1, self.bn2_2 = (nn.BatchNorm2d(8) for _ in range(3))
        self.act1, self.act2 = RPReLU(8), RPReLU(16)
        binarize(self, react_net(), where=["binary_3x3", "binary_pw_down1", "binary_pw_down2"])
        self.binary_pw_down2.input_binarizer = self.binary_pw_down1.input_binarizer

    def forward(self, x: Tensor) -> Tensor:
        y = self.act1(self.bn1(self.binary_3x3(x)) + F.avg_pool2d(x, 2))
        halves = [self.bn2_1(self.binary_pw_down1(y)) + y, self.bn2_2(self.binary_pw_down2(y)) + y]
        return self.act2(torch.cat(halves, 1))


def rprelu_names(before: str, prelu: str, after: str, ours: str) -> dict[str, str]:
    return {
        f"{before}.bias": f"{ours}.shift_in",
        f"{prelu}.weight": f"{ours}.slope",
        f"{after}.bias": f"{ours}.shift_out",
    }


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_resnet_block(mode: str) -> None:
    names = {"move0.bias": "binary_conv.input_binarizer.bias"} | rprelu_names("move1", "prelu", "move2", "act")
    block = binarize(ResNetBlock(), react_net(), where=["binary_conv"])
    run_block(renamed(Case(f"reactnet.block_resnet_{mode}"), names), block)


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_mobilenet_block(mode: str) -> None:
    names = {"move11.bias": "binary_3x3.input_binarizer.bias", "move21.bias": "binary_pw_down1.input_binarizer.bias"}
    names |= rprelu_names("move12", "prelu1", "move13", "act1") | rprelu_names("move22", "prelu2", "move23", "act2")
    run_block(renamed(Case(f"reactnet.block_mobilenet_{mode}"), names), MobileNetBlock())
