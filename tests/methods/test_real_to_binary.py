"""Real-to-Binary: a binary layer, a learned scale and the gate."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bitwright.methods import real_to_binary
from bitwright.nn.convert import binarize


@pytest.mark.parametrize("training", [True, False])
def test_forward_is_the_formula(training: bool) -> None:
    layer = nn.Conv2d(16, 6, 3, padding=1, bias=False)
    alpha = layer.weight.detach().abs().mean((1, 2, 3))
    binarize(layer, real_to_binary(reduction=4), where=[""]).train(training)
    x = torch.randn(2, 16, 5, 5)
    codes = F.conv2d(torch.where(x >= 0, 1.0, -1.0), torch.where(layer.weight >= 0, 1.0, -1.0), padding=1)
    gate = layer.rescale.excite(layer.rescale.squeeze(x.mean((2, 3))).relu()).sigmoid()
    assert layer.rescale.squeeze.weight.shape == (4, 16)
    torch.testing.assert_close(layer(x), codes * (alpha * gate)[:, :, None, None])


def test_the_gate_sees_the_real_input() -> None:
    layer = binarize(nn.Linear(16, 4), real_to_binary(), where=[""])
    x = torch.rand(1, 16) + 0.1
    assert not torch.equal(layer(x), layer(2 * x))
    layer(x).sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in layer.rescale.parameters())


def test_a_second_method_leaves_the_gate_alone() -> None:
    net = nn.Sequential(nn.Linear(16, 8), nn.Linear(8, 4))
    binarize(net, real_to_binary(), where=["0"])
    binarize(net, real_to_binary(), where=lambda name, layer: name != "0")
    assert type(net[0].rescale.squeeze) is nn.Linear


def test_the_strong_baseline_has_a_scale_and_no_gate() -> None:
    layer = binarize(nn.Linear(16, 4, bias=False), real_to_binary(gate=False), where=[""])
    x = torch.randn(3, 16)
    codes = torch.where(x >= 0, 1.0, -1.0) @ torch.where(layer.weight >= 0, 1.0, -1.0).T
    torch.testing.assert_close(layer(x), codes * layer.rescale.alpha)


def test_the_first_student_has_tanh_for_the_sign() -> None:
    method = replace(real_to_binary(activations="tanh"), weight=lambda layer: nn.Identity())
    layer = binarize(nn.Linear(16, 4, bias=False), method, where=[""])
    x = torch.randn(3, 16)
    torch.testing.assert_close(layer(x), layer.rescale(x, x.tanh() @ layer.weight.T))


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match=r"reduction: expected 1 or more, such as 8, found 0"):
        real_to_binary(reduction=0)
    with pytest.raises(ValueError, match=r"activations: expected 'sign' or 'tanh', found 'relu'"):
        real_to_binary(activations="relu")
