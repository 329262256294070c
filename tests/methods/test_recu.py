"""ReCU: the quantile, its schedule, and that signs are those of the centred weight and of the input."""

import pytest
import torch
from torch import nn

from bitwright.methods import recu
from bitwright.methods.recu import laplace_quantile
from bitwright.nn.convert import binarize


@pytest.mark.parametrize(("tau", "quantile"), [(0.85, 2.408), (0.92, 3.665), (0.99, 7.824)])
def test_quantiles_of_the_worked_example(tau: float, quantile: float) -> None:
    assert laplace_quantile(torch.tensor([-3.0, 1.0]), tau).item() == pytest.approx(quantile, abs=5e-4)


def test_quantile_splits_a_laplace_distribution() -> None:
    v = torch.distributions.Laplace(0.0, 2.0).sample((100_000,))
    assert (v < laplace_quantile(v, 0.9)).float().mean().item() == pytest.approx(0.9, abs=5e-3)


def test_schedule() -> None:
    binarizer = recu().weight(nn.Linear(1, 1))
    taus = []
    for progress in (0.0, 0.5, 1.0):
        binarizer.set_progress(progress)
        taus.append(binarizer.tau)
    assert taus == pytest.approx([0.85, 0.9029, 0.99], abs=5e-5)


def test_signs_are_those_of_the_centred_weight() -> None:
    w = torch.randn(5, 4, 3, 3) + torch.randn(5, 1, 1, 1)
    out = recu().weight(nn.Linear(1, 1))(w)
    assert torch.equal(out, torch.sign(w - w.mean((1, 2, 3), keepdim=True)))


def test_weights_beyond_the_quantile_pull_no_more() -> None:
    w = torch.randn(4, 200)
    w[:, 0], w[:, 1] = 50, -50
    w.requires_grad_()
    up = torch.zeros(4, 200)
    up[:, :2] = 1
    recu().weight(nn.Linear(1, 1))(w).backward(up)
    assert w.grad is not None and not w.grad.any()


def test_activation_sign_does_not_depend_on_the_mode() -> None:
    activation = recu().activation(nn.Conv2d(1, 1, 1))
    x = torch.randn(3, 4, 5, 5) * torch.tensor([0.01, 1, 100]).view(3, 1, 1, 1)
    assert torch.equal(activation(x), torch.where(x >= 0, 1.0, -1.0))
    assert torch.equal(activation.eval()(x), torch.where(x >= 0, 1.0, -1.0))


def test_activation_gradient_is_that_of_the_standardised_input() -> None:
    activation = recu().activation(nn.Conv2d(1, 1, 1))
    x, up = torch.randn(3, 4, 5, 5).requires_grad_(), torch.randn(3, 4, 5, 5)
    activation(x).backward(up)
    v = x.detach().requires_grad_()
    u = v / (v.var((1, 2, 3), keepdim=True) + 1e-5).sqrt()
    u.backward(up * (2 - 2 * u.detach().abs()).clamp(min=0))
    torch.testing.assert_close(x.grad, v.grad)


def test_outputs_carry_a_learned_scale() -> None:
    layer = binarize(nn.Conv2d(4, 3, 3), recu(), where=[""])
    alpha = layer.rescale.alpha
    assert alpha.shape == (3, 1, 1) and ((alpha >= 0) & (alpha < 1)).all()
    x = torch.randn(2, 4, 5, 5)
    plain = nn.functional.conv2d(torch.sign(x), layer.binarized_weight(), layer.bias)
    torch.testing.assert_close(layer(x), plain * alpha)
    torch.testing.assert_close(layer.eval()(x), plain * alpha)


@pytest.mark.parametrize("arguments", [{"tau_start": 0.5}, {"tau_end": 1.0}, {"tau_start": 0.9, "tau_end": 0.85}])
def test_quantiles_out_of_range_are_refused(arguments: dict) -> None:
    with pytest.raises(ValueError, match=r"tau: expected 0.5 < tau_start <= tau_end < 1, found"):
        recu(**arguments)
