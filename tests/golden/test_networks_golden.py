"""Blocks of the zoo against numbers computed with the code that the authors of the networks published."""

import pytest
import torch
from cases import Case, run_block
from torch import Tensor, nn

from bitwright.core.estimators import sign, straight_through
from bitwright.methods import bi_real_net, react_net
from bitwright.nn.convert import binarize
from bitwright.nn.quantize import Quantize
from bitwright.nn.thermometer import Thermometer
from bitwright.zoo.blocks import SingleBlock
from bitwright.zoo.bottleneck import Bottleneck
from bitwright.zoo.frac_bnn import FracBlock
from bitwright.zoo.reactnet import ReActBlock

MODES = ["train", "eval"]
KINDS = ("param_", "grad_param_", "buffer_", "after_buffer_")


def rename(case: Case, names: dict[str, str]) -> None:
    """Give the original's modules and parameters our names; what gets the name of another is joined behind it."""
    renamed: dict[str, Tensor] = {}
    for key, value in case.values.items():
        kind = next((k for k in KINDS if key.startswith(k)), "")
        own = key.removeprefix(kind)
        old = max((n for n in names if own == n or own.startswith(f"{n}.")), key=len, default="") if kind else ""
        new = kind + names[old] + own.removeprefix(old) if old else key
        renamed[new] = torch.cat([renamed[new], value]) if new in renamed else value
    case.values = renamed


class Streams(nn.Module):
    """A bottleneck of which both inputs, and both results, are joined along the channels."""

    def __init__(self) -> None:
        super().__init__()
        self.m = Bottleneck(16, 32, 2)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat(self.m(x[:, :4], x[:, 4:]), 1)


@pytest.mark.parametrize("mode", MODES)
def test_bottleneck(mode: str) -> None:
    case = Case(f"bireal.bottleneck_{mode}")
    rename(case, {"m.down_conv1x1": "m.shortcut1", "m.downsample": "m.shortcut3"})
    run_block(case, binarize(Streams(), bi_real_net(), where=["m.conv1", "m.conv2", "m.conv3"]))


@pytest.mark.parametrize("mode", MODES)
def test_bi_real_block(mode: str) -> None:
    case = Case(f"bireal.block_{mode}")
    rename(case, {"binary_conv": "conv", "bn1": "bn", "downsample": "shortcut"})
    run_block(case, binarize(SingleBlock(8, 12, 2, "conv", "identity"), bi_real_net(), where=["conv"]))


@pytest.mark.parametrize("mode", MODES)
def test_react_block_of_resnet(mode: str) -> None:
    case = Case(f"reactnet.block_resnet_{mode}")
    names = {"move0": "conv.input_binarizer", "binary_conv": "conv", "bn1": "bn", "downsample": "shortcut"}
    rename(case, names | {"move1.bias": "act.shift_in", "prelu.weight": "act.slope", "move2.bias": "act.shift_out"})
    run_block(case, binarize(SingleBlock(8, 12, 2, "conv", "rprelu"), react_net(), where=["conv"]))


@pytest.mark.parametrize("mode", MODES)
def test_react_block_of_mobilenet(mode: str) -> None:
    case = Case(f"reactnet.block_mobilenet_{mode}")
    names = {"move11": "conv1.input_binarizer", "binary_3x3": "conv1", "move21": "conv2.input_binarizer"}
    names |= {"binary_pw_down1": "conv2", "binary_pw_down2": "conv2", "bn2_1": "bn2", "bn2_2": "bn2"}
    for act, (shift_in, slope, shift_out) in enumerate(
        [("move12", "prelu1", "move13"), ("move22", "prelu2", "move23")], 1
    ):
        own = {"shift_in": f"{shift_in}.bias", "slope": f"{slope}.weight", "shift_out": f"{shift_out}.bias"}
        names |= {original: f"act{act}.{name}" for name, original in own.items()}
    rename(case, names)
    run_block(case, binarize(ReActBlock(8, 16, 2, "rprelu"), react_net(), where=["conv1", "conv2"]))


class GatedConv(nn.Module):
    """The convolution of FracBNN's blocks: the low bit of an activation counts where the high bits' sum says so."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv
        self.threshold = nn.Parameter(torch.zeros(1, conv.out_channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        def clipped_sign(x: Tensor) -> Tensor:
            return sign(x, lambda x: (x.abs() <= 1.3).to(x.dtype))

        def conv(x: Tensor) -> Tensor:
            return nn.functional.conv2d(x, clipped_sign(self.conv.weight), None, self.conv.stride, self.conv.padding)

        codes = Quantize(2)(x)
        high, full = conv(clipped_sign(codes)) * 2 / 3, conv(codes)
        wish = torch.sigmoid(5 * (high - self.threshold))
        is_open = (wish > 0.5).to(x.dtype)
        gate = straight_through(is_open, wish * is_open)
        return (1 - gate) * high + gate * full


def frac_block(*shape: int, shortcut_bits: int | None = None) -> FracBlock:
    block = FracBlock(*shape, shortcut_bits=shortcut_bits)
    block.conv = GatedConv(block.conv)
    return block


RPRELU = {"shift_x.bias": "shift_in", "prelu.weight": "slope", "shift_y.bias": "shift_out"}


@pytest.mark.parametrize("mode", MODES)
def test_frac_block_of_resnet(mode: str) -> None:
    case = Case(f"fracbnn.block_{mode}")
    names: dict[str, str] = {}
    for i in range(2):
        names |= {f"conv{i + 1}.weight": f"{i}.conv.conv.weight", f"conv{i + 1}": f"{i}.conv", f"bn{i + 1}": f"{i}.bn"}
        names |= {f"bn{i + 3}": f"{i}.bn_out"}
        names |= {f"rprelu{i + 1}.{old}": f"{i}.act.{new}" for old, new in RPRELU.items()}
    rename(case, names)
    run_block(case, nn.Sequential(frac_block(8, 16, 3, 2), frac_block(16, 16, 3, 1)))


@pytest.mark.parametrize("mode", MODES)
def test_frac_block_of_mobilenet(mode: str) -> None:
    case = Case(f"fracbnn.imagenet_block_{mode}")
    names: dict[str, str] = {}
    for i, part in enumerate(["conv3x3", "pointwise"]):
        names |= {f"{part}.0.weight": f"{i}.conv.conv.weight", f"{part}.0": f"{i}.conv", f"{part}.1": f"{i}.bn"}
        names |= {f"shiftbn{i + 1}": f"{i}.bn_out"}
        names |= {f"rprelu{i + 1}.{old}": f"{i}.act.{new}" for old, new in RPRELU.items()}
    rename(case, names)
    run_block(case, nn.Sequential(frac_block(8, 8, 3, 2, shortcut_bits=4), frac_block(8, 16, 1, 1, shortcut_bits=4)))


@pytest.mark.parametrize("name", ["quant2", "quant2_edges", "quant4", "quant4_edges"])
def test_quantize(name: str) -> None:
    case = Case(f"fracbnn.{name}")
    x = case["x"].clone().requires_grad_()
    out = Quantize(int(case.number("bits")))(x)
    out.backward(case["upstream"])
    case.check("out", out)
    case.check("grad_x", x.grad)


def test_thermometer() -> None:
    case = Case("fracbnn.encoder")
    assert torch.equal(Thermometer(int(case.number("resolution")))(case["x"]), case["out"])
