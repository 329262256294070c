"""Si-BNN against numbers computed with the code that its authors published."""

from collections import OrderedDict

import pytest
from cases import Case, run_block, run_layer
from torch import Tensor, nn

from bitwright.core.hooks import after_step
from bitwright.methods import si_bnn
from bitwright.nn.convert import binarize

OURS = {"grad_bias": "threshold", "grad_scale": "scale"}


@pytest.mark.parametrize("name", ["act", "act_edges"])
def test_activation(name: str) -> None:
    case = Case(f"sibnn.{name}")
    binarizer = si_bnn().activation(nn.Conv2d(4, 1, 1))
    binarizer.load_state_dict({own: case[f"param_gs.{original}"].view(-1) for original, own in OURS.items()})
    x = case["x"].clone().requires_grad_()
    out = binarizer(x)
    out.backward(case["upstream"])
    at_threshold = x == case["param_gs.grad_bias"]
    case.check("out", out, where=~at_threshold)
    assert (out[at_threshold] == 1).all()
    case.check("grad_x", x.grad)
    for original, own in OURS.items():
        case.check(f"grad_param_gs.{original}", binarizer.get_parameter(own).grad)


@pytest.mark.parametrize("name", ["weight_1x1", "weight_3x3"])
def test_weight(name: str) -> None:
    case = Case(f"sibnn.{name}")
    out, inputs, k, _ = case["w"].shape
    layer = binarize(nn.Conv2d(inputs, out, k, bias=False), si_bnn(), where=[""])
    layer.weight.data.copy_(case["w"])
    binarized = layer.binarized_weight()
    binarized.backward(case["upstream"])
    case.check("out", binarized)
    case.check("grad_w", layer.weight.grad)
    after_step(layer)
    case.check("latent_after", layer.weight)


def test_convolution() -> None:
    case = Case("sibnn.conv")
    layer = binarize(nn.Conv2d(4, 8, 3, padding=1, bias=False), si_bnn(), where=[""])
    layer.weight_binarizer = nn.Identity()  # the file's weight is binary already
    layer.weight.data.copy_(case["w"])
    for original, own in OURS.items():
        layer.input_binarizer.get_parameter(own).data.copy_(case[f"param_gsa.gs.{original}"].view(-1))
    run_layer(case, layer)
    for original, own in OURS.items():
        case.check(f"grad_param_gsa.gs.{original}", layer.input_binarizer.get_parameter(own).grad)


class Block(nn.Module):
    """bn4(conv2(bn3(y))) + y with y = bn2(conv1(bn1(x))) + downsample(x): a shortcut around each convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.bn1, self.conv1, self.bn2 = nn.BatchNorm2d(8), nn.Conv2d(8, 12, 3, 2, 1, bias=False), nn.BatchNorm2d(12)
        self.bn3, self.conv2, self.bn4 = nn.BatchNorm2d(12), nn.Conv2d(12, 12, 3, 1, 1, bias=False), nn.BatchNorm2d(12)
        real = [("0", nn.Conv2d(8, 12, 1, bias=False)), ("1", nn.BatchNorm2d(12)), ("2", nn.AvgPool2d(2))]
        self.fp32_downsample = nn.Sequential(OrderedDict(real))

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn2(self.conv1(self.bn1(x))) + self.fp32_downsample(x)
        return self.bn4(self.conv2(self.bn3(x))) + x


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_block(mode: str) -> None:
    case = Case(f"sibnn.block_{mode}")
    for key in list(case.values):
        own = key.replace("gs1.", "conv1.input_binarizer.").replace("gs2.", "conv2.input_binarizer.")
        for original, name in OURS.items():
            own = own.replace(original, name)
        case.values[own] = case.values.pop(key)
    run_block(case, binarize(Block(), si_bnn(), where=["conv1", "conv2"]))
