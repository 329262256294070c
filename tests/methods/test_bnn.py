"""BNN: slopes of both signs, and the clamp of the latent weight."""

import pytest
import torch
from torch import nn

from bitwright.core.hooks import after_step
from bitwright.methods import bnn
from bitwright.nn.convert import binarize


@pytest.mark.parametrize(("window", "slopes"), [(True, [0, 0, 1, 1, 0]), (False, [1, 1, 1, 1, 1])])
def test_activation_gradient(window: bool, slopes: list[float]) -> None:
    x = torch.tensor([-2.0, -1.0, -0.5, 0.0, 1.5], requires_grad=True)
    out = bnn(window).activation(nn.Linear(1, 1))(x)
    out.sum().backward()
    assert out.tolist() == [-1, -1, -1, 1, 1]
    assert x.grad is not None and x.grad.tolist() == slopes


def test_layer_is_the_product_of_signs() -> None:
    layer = binarize(nn.Linear(6, 3), bnn(), where=[""])
    x = torch.randn(4, 6)
    expected = nn.functional.linear(torch.sign(x), torch.sign(layer.weight), layer.bias)
    torch.testing.assert_close(layer(x), expected)
    torch.testing.assert_close(layer.eval()(x), expected)


@pytest.mark.parametrize(("glorot_step", "reached"), [(True, 0.3), (False, 0.2)])
def test_latent_weights_step_and_stay_within_one(glorot_step: bool, reached: float) -> None:
    layer = binarize(nn.Linear(4, 2), bnn(glorot_step=glorot_step), where=[""])
    layer.weight.data.fill_(0.1)
    layer(torch.randn(3, 4))
    layer.weight.data.add_(0.1)
    after_step(layer)
    torch.testing.assert_close(layer.weight.detach(), torch.full((2, 4), reached))
    layer.weight.data.fill_(-7)
    after_step(layer)
    assert (layer.weight == -1).all()
