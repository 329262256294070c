"""AdaBin: levels that fit the weights, both forms of the activations, and the sum by integers."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bitwright.core.hooks import set_progress
from bitwright.methods import ada_bin
from bitwright.nn.convert import binarize


def test_levels_have_the_mean_and_deviation_of_the_filter() -> None:
    w = torch.randn(4, 5, 3, 3) * 0.3 + torch.randn(4, 1, 1, 1)
    out = ada_bin().weight(nn.Linear(1, 1))(w)
    beta, alpha = w.mean((1, 2, 3)), w.std((1, 2, 3), correction=0)
    balance = torch.sign(w - beta.view(-1, 1, 1, 1)).mean((1, 2, 3))
    torch.testing.assert_close(out.mean((1, 2, 3)), beta + alpha * balance)
    torch.testing.assert_close(out.amax((1, 2, 3)), beta + alpha)
    torch.testing.assert_close(out.amin((1, 2, 3)), beta - alpha)


@pytest.mark.parametrize(("form", "levels"), [("code", [-1.5, 2.5]), ("paper", [-1.75, 2.25])])
def test_levels_of_both_forms(form: str, levels: list[float]) -> None:
    pair = ada_bin(form).activation(nn.Linear(1, 1))
    assert pair(torch.tensor([-0.1, 0.0])).tolist() == [-1, 1]
    pair.load_state_dict({"alpha": torch.tensor(2.0), "beta": torch.tensor(0.25)})
    assert pair(torch.tensor([0.2, 0.25])).tolist() == levels


@pytest.mark.parametrize("form", ["code", "paper"])
def test_activation_gradients(form: str) -> None:
    """Those of the formula in which the sign has the slope of a piecewise quadratic."""
    pair = ada_bin(form).activation(nn.Linear(1, 1)).double()
    a, b = 1.3, -0.4
    pair.load_state_dict({"alpha": torch.tensor(a), "beta": torch.tensor(b)})
    x, g = torch.randn(50, dtype=torch.float64).requires_grad_(), torch.randn(50, dtype=torch.float64)
    pair(x).backward(g)
    u = (x.detach() - pair.beta.detach()) / pair.alpha.detach()
    s, slope = u.sign(), (2 - 2 * u.abs()).clamp(min=0)
    middle, rate = (pair.beta.detach(), pair.alpha.detach()) if form == "code" else (0.0, 1.0)
    torch.testing.assert_close(x.grad, g * slope)
    torch.testing.assert_close(pair.alpha.grad, (g * (s + middle - slope * u)).sum())
    torch.testing.assert_close(pair.beta.grad, (g * (rate - slope)).sum())


def test_the_sum_is_one_of_integers_and_constants() -> None:
    """alpha_w*alpha_a*z + alpha_w*shift*S_w + beta_w*alpha_a*S_a + n*beta_w*shift, away from the borders."""
    layer = binarize(nn.Conv2d(6, 4, 3, bias=False), ada_bin(), where=[""])
    layer.input_binarizer.load_state_dict({"alpha": torch.tensor(0.7), "beta": torch.tensor(0.3)})
    x = torch.randn(2, 6, 8, 8)
    w = layer.weight.detach()
    beta_w, alpha_w = w.mean((1, 2, 3), keepdim=True), w.std((1, 2, 3), correction=0, keepdim=True)
    codes_w, codes_a = torch.sign(w - beta_w), torch.sign(x - 0.3)
    z, sum_a = F.conv2d(codes_a, codes_w), F.conv2d(codes_a, torch.ones(1, 6, 3, 3))
    channel = lambda v: v.view(1, -1, 1, 1)  # noqa: E731
    sum_w = channel(codes_w.sum((1, 2, 3)))
    alpha_w, beta_w, alpha_a, beta_a = channel(alpha_w), channel(beta_w), 0.7, 0.7 * 0.3
    expected = alpha_w * alpha_a * z + alpha_w * beta_a * sum_w + beta_w * alpha_a * sum_a + 54 * beta_w * beta_a
    torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(layer.eval()(x), expected, rtol=1e-4, atol=1e-5)


def test_schedule() -> None:
    binarizer = ada_bin().weight(nn.Linear(1, 1))
    for progress, t, k in [(0.0, 1e-3, 1e3), (0.5, 0.1, 10.0), (1.0, 10.0, 1.0)]:
        set_progress(binarizer, progress)
        assert (binarizer.sign.t, binarizer.sign.k) == pytest.approx((t, k))


def test_unknown_form_is_refused() -> None:
    with pytest.raises(ValueError, match=r"form: expected 'code' or 'paper', found 'mine'"):
        ada_bin("mine")  # type: ignore[arg-type]
