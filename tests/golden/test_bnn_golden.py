"""BNN against numbers computed with the authors' PyTorch code."""

import pytest
import torch
from cases import Case, check_sign, run_layer
from torch import nn

from bitwright.methods import bnn
from bitwright.nn.convert import binarize


@pytest.mark.parametrize("name", ["act", "act_edges"])
def test_activation(name: str) -> None:
    check_sign(Case(f"binarynet.{name}"), bnn().activation(nn.Conv2d(1, 1, 1)))
    check_sign(
        Case(f"binarynet.{name}"), nn.Sequential(nn.Hardtanh(), bnn(window=False).activation(nn.Conv2d(1, 1, 1)))
    )


@pytest.mark.parametrize("name", ["weight_1x1", "weight_3x3"])
def test_weight(name: str) -> None:
    case = Case(f"binarynet.{name}")
    w = case["w"].clone().requires_grad_()
    out = bnn().weight(nn.Conv2d(1, 1, 1))(w)
    out.backward(case["upstream"])
    case.check("out", out)
    case.check("grad_w", w.grad)


def test_convolution() -> None:
    case = Case("binarynet.conv")
    layer = binarize(nn.Conv2d(4, 8, 3, padding=1, bias=False), bnn(window=False), where=[""])
    with torch.no_grad():
        layer.weight.copy_(case["w"])
    run_layer(case, layer)
