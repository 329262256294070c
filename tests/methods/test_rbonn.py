"""RBONN: the published gradients on worked numbers, the filters it chooses, and its memory of the last gradient."""

import pytest
import torch
from torch import nn

from bitwright.core.hooks import after_step
from bitwright.methods import rbonn
from bitwright.methods.rbonn import ReconstructedWeight, sparse_filters
from bitwright.nn.convert import binarize


def test_the_worked_example() -> None:
    w = torch.tensor([[0.5, -0.25]], dtype=torch.float64, requires_grad=True)
    binarizer = ReconstructedWeight(w).double()
    binarizer.scale.data.fill_(2.0)
    out = binarizer(w)
    assert out.tolist() == [pytest.approx([0.04, -0.04])]
    out.backward(torch.tensor([[1.0, -2.0]], dtype=torch.float64))
    assert w.grad is not None and w.grad[0].tolist() == pytest.approx([2.000046, -4.000021], abs=1e-12)
    assert binarizer.scale.grad is not None and binarizer.scale.grad.item() == pytest.approx(0.99999866, abs=5e-9)


def test_without_its_terms_it_is_a_scaled_sign_with_an_open_window() -> None:
    w = torch.tensor([[3.0, -0.25], [0.0, -7.0]], requires_grad=True)
    binarizer = ReconstructedWeight(w, c=1.0, tie=0.0, share=1.0)
    binarizer.last.fill_(5.0)
    binarizer.scale.data = torch.tensor([-2.0, 0.5])
    out = binarizer(w)
    assert out.tolist() == [[2.0, -2.0], [0.5, -0.5]]
    out.backward(torch.ones(2, 2))
    assert w.grad is not None and w.grad.tolist() == [[2.0, 2.0], [0.5, 0.5]]


def test_the_reconstruction_term_has_the_derivatives_of_its_square() -> None:
    w = torch.randn(3, 4, 2, 2, dtype=torch.float64, requires_grad=True)
    binarizer = ReconstructedWeight(w, c=0.3, tie=0.7).double()
    binarizer(w).backward(torch.zeros_like(w))
    s, v = binarizer.scale.detach().clone().requires_grad_(), w.detach().clone().requires_grad_()
    (0.35 * (v - 0.3 * s.abs().view(3, 1, 1, 1) * v.detach().sign()).square().sum()).backward()
    torch.testing.assert_close(w.grad, v.grad)
    torch.testing.assert_close(binarizer.scale.grad, s.grad)


@pytest.mark.parametrize("count", [1, 4, 5, 10, 64])
def test_the_smallest_scales_are_chosen(count: int) -> None:
    s = torch.rand(count)
    chosen = sparse_filters(s, 0.6)
    assert chosen.sum() == int(count * 0.4) == sparse_filters(s, 0.6, code_compat=True).sum()
    if chosen.sum() > 0:
        assert s[chosen == 1].max() < s[chosen == 0].min()


def test_ranks_and_the_published_permutation() -> None:
    s = torch.tensor([0.3, 0.1, 0.5, 0.2, 0.4])
    assert sparse_filters(s, 0.6).tolist() == [0, 1, 0, 1, 0]
    assert sparse_filters(s, 0.6, code_compat=True).tolist() == [1, 0, 1, 0, 0]  # the order is 1, 3, 0, 4, 2 ...


def test_the_recurrent_term_moves_the_chosen_filters_in_training_only() -> None:
    w = torch.full((5, 3), 0.1, requires_grad=True)
    binarizer = ReconstructedWeight(w)
    binarizer.scale.data = torch.tensor([0.3, 0.1, 0.5, 0.2, 0.4])
    assert (binarizer(w) > 0).all()  # no gradient is stored yet
    binarizer.last.fill_(1.0)
    assert (binarizer(w) > 0).all(1).tolist() == [True, False, True, False, True]
    assert (binarizer.eval()(w) > 0).all()
    binarizer.train().u.data.zero_()
    assert (binarizer(w) > 0).all()


def test_the_last_gradient_is_the_steps_own() -> None:
    layer = binarize(nn.Linear(6, 5), rbonn(), where=[""])
    optimizer = torch.optim.SGD(layer.parameters(), 0.1)
    for _ in range(3):
        for _ in range(2):  # accumulated
            layer(torch.randn(4, 6)).square().sum().backward()
        taken = layer.weight.grad.clone()
        optimizer.step()
        after_step(layer)
        optimizer.zero_grad()
        assert torch.equal(layer.weight_binarizer.last, taken)
    layer(torch.randn(4, 6)).square().sum().backward()
    chosen = sparse_filters(layer.weight_binarizer.scale.abs(), 0.6)
    expected = -chosen * (layer.weight.grad * taken).sum(1)
    torch.testing.assert_close(layer.weight_binarizer.u.grad, expected)
    restored = binarize(nn.Linear(6, 5), rbonn(), where=[""])
    restored.load_state_dict(layer.state_dict())
    assert torch.equal(restored.weight_binarizer.last, layer.weight_binarizer.last)


def test_a_step_without_a_gradient_is_forgotten() -> None:
    layer = binarize(nn.Linear(6, 5), rbonn(), where=[""])
    layer.weight_binarizer.last.fill_(1.0)
    after_step(layer)
    assert not layer.weight_binarizer.last.any()


def test_what_is_deployed_is_the_evaluated_weight() -> None:
    layer = binarize(nn.Conv2d(6, 5, 3, padding=1), rbonn(), where=[""])
    layer.weight_binarizer.last.normal_()
    x = torch.randn(2, 6, 7, 7)
    w = 0.02 * layer.weight_binarizer.scale.abs().view(-1, 1, 1, 1) * torch.where(layer.weight >= 0, 1.0, -1.0)
    expected = nn.functional.conv2d(torch.where(x >= 0, 1.0, -1.0), w, layer.bias, padding=1)
    torch.testing.assert_close(layer.eval()(x), expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"c": 0}, "c: expected more than 0, found 0"),
        ({"tie": -1}, "tie: expected 0 or more, found -1"),
        ({"share": 2}, "share: expected a share from 0 to 1, found 2"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rbonn(**arguments)
