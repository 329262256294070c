"""Blocks of the zoo against numbers computed with the code that the authors of the networks published."""

import pytest
import torch
from cases import Case, rename, run_block
from torch import Tensor, nn

from bitwright.methods import bi_real_net, react_net
from bitwright.nn.convert import binarize
from bitwright.zoo.blocks import SingleBlock
from bitwright.zoo.bottleneck import Bottleneck
from bitwright.zoo.reactnet import ReActBlock

MODES = ["train", "eval"]


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
