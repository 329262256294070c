"""Multi-prize tickets against numbers computed with the authors' code."""

import pytest
import torch
from cases import Case, check_sign, run_block
from torch import nn

from bitwright.core.binarizers import Sign
from bitwright.core.estimators import approx_sign
from bitwright.nn.convert import binarize
from bitwright.sparse import biprop
from bitwright.sparse.edge_popup import EdgePopup, Threshold
from bitwright.sparse.schedule import Constant


class Block(nn.Module):
    """The two blocks of the published code; weights see the block's input as it is."""

    def __init__(self, keep: float, norm_last: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(8, 12, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(12)
        self.conv2 = nn.Conv2d(12, 12, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(12)
        self.shortcut = nn.Sequential(nn.Conv2d(8, 12, 1, 2, bias=False), nn.BatchNorm2d(12))
        self.act = Sign(approx_sign)
        self.norm_last = norm_last
        binarize(self, biprop(keep, real_input=True), where=["conv1", "conv2", "shortcut.0"])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv2(self.act(self.bn1(self.conv1(x))))
        if self.norm_last:
            return self.act(self.bn2(y + self.shortcut(x)))
        return self.act(self.bn2(y) + self.shortcut(x))


@pytest.mark.parametrize("name", ["act", "act_edges"])
def test_activation(name: str) -> None:
    check_sign(Case(f"biprop.{name}"), biprop().activation(nn.Conv2d(1, 1, 1)))


@pytest.mark.parametrize("name", ["weight_1x1", "weight_3x3", "weight_global"])
def test_weight(name: str) -> None:
    case = Case(f"biprop.{name}")
    shared = Threshold(Constant(1.0)) if name == "weight_global" else None
    binarizer = EdgePopup(case["w"].shape, 1.0 if shared else case.number("keep"), threshold=shared)
    with torch.no_grad():
        binarizer.scores.copy_(case["param_scores"])
        if shared:
            binarizer.threshold.fill_(case.number("threshold"))
    out = binarizer(case["w"])
    out.backward(case["upstream"])
    case.check("mask", binarizer.mask)
    case.check("out", out)
    case.check("grad_param_scores", binarizer.scores.grad)


def test_convolution() -> None:
    case = Case("biprop.conv")
    layer = nn.Conv2d(4, 8, 3, padding=1, bias=False)
    binarize(layer, biprop(case.number("keep"), real_input=True), where=[""])
    with torch.no_grad():
        layer.weight.copy_(case["w"])
        layer.weight_binarizer.scores.copy_(case["param_scores"])
    x = case["x"].clone().requires_grad_()
    out = layer(x)
    out.backward(case["upstream"])
    case.check("out", out)
    case.check("grad_x", x.grad)
    case.check("grad_param_scores", layer.weight_binarizer.scores.grad)


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("block", ["block", "block_v2"])
def test_block(block: str, mode: str) -> None:
    case = Case(f"biprop.{block}_{mode}")
    case.values = {k.replace(".scores", ".weight_binarizer.scores"): v for k, v in case.values.items()}
    net = Block(case.number("keep"), norm_last=block == "block_v2")
    frozen = [name for name, parameter in net.named_parameters() if not parameter.requires_grad]
    assert frozen == ["conv1.weight", "conv2.weight", "shortcut.0.weight"]
    run_block(case, net, frozen)
