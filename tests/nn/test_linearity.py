"""The linearity diagnostic: 1 for what is linear, less behind a non-linear module."""

import pytest
import torch
from torch import nn

from bitwright.methods import ftbnn
from bitwright.nn.activations import FPReLU
from bitwright.nn.convert import binarize
from bitwright.nn.linearity import linearity, r_squared


@pytest.mark.parametrize(
    "conv", [nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 4, 3, 2, padding="valid"), nn.Conv2d(4, 4, 3, groups=2)]
)
def test_a_real_convolution_is_linear(conv: nn.Conv2d) -> None:
    x = torch.randn(4, conv.in_channels, 9, 9)
    assert linearity(conv, x) == pytest.approx(1, abs=1e-9)


def test_unequal_slopes_are_not_linear() -> None:
    conv, act = nn.Conv2d(3, 4, 3, bias=False), FPReLU(4)
    x = torch.randn(8, 3, 9, 9)
    assert linearity(nn.Sequential(conv, act), x, conv) < 0.95
    act.neg_scale.data.copy_(act.pos_scale.data)
    assert linearity(nn.Sequential(conv, act), x, conv) == pytest.approx(1, abs=1e-9)


def test_a_binary_layer_is_partly_linear() -> None:
    layer = nn.Linear(8, 4)
    x = torch.randn(500, 8)
    assert linearity(layer, x) == pytest.approx(1, abs=1e-9)
    binarize(layer, ftbnn(), where=[""])
    # the sign of a normal variable has the correlation sqrt(2/pi) with it
    assert linearity(layer, x) == pytest.approx(2 / torch.pi, abs=0.05)


def test_too_few_samples_are_refused() -> None:
    with pytest.raises(ValueError, match=r"more samples than inputs \+ 1, found 4 samples of 3 inputs"):
        r_squared(torch.randn(4, 3), torch.randn(4, 2))
