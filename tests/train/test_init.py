from math import sqrt

import pytest
import torch
from torch import nn

from bitwright.train.init import INITIALIZERS


@pytest.mark.parametrize(
    ("name", "conv", "linear"), [("kaiming", sqrt(2 / 360), sqrt(2 / 500)), ("fan_out", sqrt(2 / 270), 0.01)]
)
def test_the_spread_of_fresh_weights(name, conv, linear):
    net = nn.Sequential(nn.Conv2d(40, 30, 3), nn.BatchNorm2d(30), nn.Flatten(), nn.Linear(500, 20))
    bias = net[3].bias.detach().clone()
    INITIALIZERS[name](net)
    for layer, expected in ((net[0], conv), (net[3], linear)):
        assert layer.weight.std().item() == pytest.approx(expected, rel=0.05)
        assert abs(layer.weight.mean().item()) < 0.05 * expected
    assert torch.equal(net[3].bias, torch.zeros(20) if name == "fan_out" else bias)
    assert torch.equal(net[1].weight, torch.ones(30))


def test_by_default_weights_stay():
    layer = nn.Linear(3, 3)
    before = layer.weight.detach().clone()
    INITIALIZERS["default"](layer)
    assert torch.equal(layer.weight, before)
