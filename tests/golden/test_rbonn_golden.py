"""RBONN against numbers computed with the code that its authors published."""

from collections import OrderedDict

import pytest
import torch
from cases import Case, check_sign, run_block
from torch import Tensor, nn

from bitwright.core.hooks import after_step
from bitwright.methods import rbonn
from bitwright.methods.rbonn import sparse_filters
from bitwright.nn.activations import RPReLU
from bitwright.nn.convert import binarize

OURS = {"scale_factor": "scale", "u": "u"}


def conv_of(case: Case) -> nn.Module:
    """A layer with the parameters of the file, and the stored gradient where it has one; its input is used as given."""
    out, inputs, k, _ = case["w"].shape
    layer = binarize(nn.Conv2d(inputs, out, k, padding=k // 2, bias=False), rbonn(code_compat=True), where=[""])
    layer.input_binarizer = nn.Identity()
    layer.weight.data.copy_(case["w"])
    for original, own in OURS.items():
        layer.weight_binarizer.get_parameter(own).data.copy_(case[f"param_{original}"].view(-1))
    if "prev_grad_w" in case.values:
        layer.weight_binarizer.last.copy_(case["prev_grad_w"])
    return layer


def check_gradients(case: Case, layer: nn.Module, suffix: str = "") -> None:
    case.check(f"grad_w{suffix}", layer.weight.grad)
    for original, own in OURS.items():
        key, found = f"grad_param_{original}{suffix}", layer.weight_binarizer.get_parameter(own).grad
        if key in case.values:
            case.check(key, found)
        else:
            assert found is None or not found.any()


@pytest.mark.parametrize("name", ["act", "act_edges"])
def test_activation(name: str) -> None:
    check_sign(Case(f"rbonn.{name}"), rbonn().activation(nn.Conv2d(1, 1, 1)))


@pytest.mark.parametrize(
    "name", ["weight_1x1", "weight_1x1_recurrent", "weight_3x3", "weight_recurrent", "weight_zeros"]
)
def test_weight(name: str) -> None:
    case = Case(f"rbonn.{name}")
    layer = conv_of(case)
    out = layer.binarized_weight()
    out.backward(case["upstream"])
    case.check("out", out, where=case["w"] != 0)
    check_gradients(case, layer)


@pytest.mark.parametrize("name", ["weight_1x1_recurrent", "weight_recurrent", "conv_recurrent"])
def test_chosen_filters(name: str) -> None:
    case = Case(f"rbonn.{name}")
    s = case["param_scale_factor"].abs().flatten()
    assert torch.equal(sparse_filters(s, 0.6), case["indicator_rank"].flatten())
    assert torch.equal(sparse_filters(s, 0.6, code_compat=True), case["indicator_code"].flatten())


@pytest.mark.parametrize("name", ["conv_first_step", "conv_recurrent", "conv_eval"])
def test_convolution(name: str) -> None:
    case = Case(f"rbonn.{name}")
    layer = conv_of(case).train(name != "conv_eval")
    x = case["x"].clone().requires_grad_()
    out = layer(x)
    out.backward(case["upstream"])
    case.check("out", out)
    case.check("grad_x", x.grad)
    check_gradients(case, layer)


def test_two_steps() -> None:
    case = Case("rbonn.two_steps")
    case.tolerance = 1e-4
    layer = conv_of(case)
    optimizer = torch.optim.SGD(layer.parameters(), case.number("lr"))
    for batch, suffix in (("", ""), ("2", "_step2")):
        optimizer.zero_grad()
        out = layer(case[f"x{batch}"])
        case.check(f"out{suffix}", out)
        out.backward(case[f"upstream{batch}"])
        if suffix:
            case.check("before_w_step2", layer.weight)
            for original, own in OURS.items():
                case.check(f"before_param_{original}_step2", layer.weight_binarizer.get_parameter(own))
        check_gradients(case, layer, suffix)
        optimizer.step()
        after_step(layer)


class Block(nn.Module):
    """act(bn1(conv(x + move0)) + downsample(x))."""

    def __init__(self) -> None:
        super().__init__()
        self.move0 = nn.Parameter(torch.zeros(8))
        self.binary_conv = nn.Conv2d(8, 12, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(12)
        around = [("0", nn.AvgPool2d(2)), ("1", nn.Conv2d(8, 12, 1, bias=False)), ("2", nn.BatchNorm2d(12))]
        self.downsample = nn.Sequential(OrderedDict(around))
        self.act = RPReLU(12)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn1(self.binary_conv(x + self.move0.view(-1, 1, 1))) + self.downsample(x))


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_block(mode: str) -> None:
    names = {
        "binary_conv.scale_factor": "binary_conv.weight_binarizer.scale",
        "binary_conv.u": "binary_conv.weight_binarizer.u",
        "move0.bias": "move0",
        "move1.bias": "act.shift_in",
        "prelu.weight": "act.slope",
        "move2.bias": "act.shift_out",
    }
    case = Case(f"rbonn.block_{mode}")
    for original, own in names.items():
        for key in [key for key in case.values if key.endswith(original)]:
            case.values[key.replace(original, own)] = case.values.pop(key)
    block = binarize(Block(), rbonn(code_compat=True), where=["binary_conv"])
    u = "binary_conv.weight_binarizer.u"
    if mode == "train":  # nothing is stored yet: the original gives u no gradient, here it is 0
        case.values[f"grad_param_{u}"] = torch.zeros(12)
    else:  # where u has no part
        del block.binary_conv.weight_binarizer.u, case.values[f"param_{u}"]
    run_block(case, block)
