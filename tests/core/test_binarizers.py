"""Binarizers: values, gradients, schedules, and that they survive pickle."""

import pickle

import pytest
import torch
from torch import nn

from bitwright.core.binarizers import ErrorDecay, Planes, ScaledSign, Sign, Step
from bitwright.core.estimators import approx_sign, identity
from bitwright.core.levels import check_binarizer


@pytest.mark.parametrize("binarizer", [Sign(), Sign(approx_sign), ScaledSign(), Step(), ErrorDecay()], ids=repr)
def test_binarizers_are_lawful_and_picklable(binarizer: nn.Module) -> None:
    check_binarizer(binarizer)
    x = torch.randn(4, 5)
    assert torch.equal(pickle.loads(pickle.dumps(binarizer))(x), binarizer(x))


def test_scale_is_the_best_one_for_each_filter() -> None:
    w = torch.randn(3, 4, 2, 2)
    out = ScaledSign()(w)
    error = (w - out).square().sum((1, 2, 3))
    for factor in (0.99, 1.01):
        assert ((w - factor * out).square().sum((1, 2, 3)) > error).all()


@pytest.mark.parametrize("scale_gradient", [True, False])
def test_the_scale_enters_the_gradient_on_demand(scale_gradient: bool) -> None:
    w = torch.tensor([[0.5, -1.5]], requires_grad=True)
    ScaledSign(identity, scale_gradient)(w).sum().backward()
    assert w.grad is not None and w.grad.tolist() == [[1.0, 1.0]]  # mean |w| is 1 here
    w.grad = None
    ScaledSign(identity, scale_gradient)(2 * w).sum().backward()
    assert w.grad is not None
    assert w.grad.tolist() == ([[4.0, 4.0]] if scale_gradient else [[2.0, 2.0]])


def test_planes_are_lawful_activations_and_picklable() -> None:
    planes = Planes()
    assert check_binarizer(planes, activation=True).kind == "symmetric"
    assert check_binarizer(nn.Sequential(nn.Identity(), planes), activation=True)
    x = torch.randn(4, 5)
    assert torch.equal(pickle.loads(pickle.dumps(planes))(x), planes(x))

    class Halves(Planes):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) / 2

    with pytest.raises(ValueError, match="digits over 3 are -1, -1/3"):
        check_binarizer(Halves(), activation=True)


def test_planes_round_as_written_and_their_high_plane_is_the_sign() -> None:
    x = torch.cat([torch.randn(5000), torch.linspace(-1.2, 1.2, 4999), torch.tensor([0.0, -0.0, 2 / 3, -2 / 3, 1, -1])])
    x = x[(x.abs() > 1e-7) | (x == 0)]  # nearer to 0 the sum below is 1
    rounded = ((x.clamp(-1, 1) + 1) / (2 / 3)).round() * 2 - 3
    digits = Planes()(x) * 3
    assert torch.equal(digits.round(), rounded)
    assert digits[-6:].round().tolist() == [1, 1, 1, -3, 3, -3]
    high = Sign()(x)
    assert set((digits - 2 * high).round().tolist()) == {-1, 1}
    assert Planes()(torch.tensor([torch.nan, torch.inf, -torch.inf])).tolist() == [-1, 1, -1]


def test_planes_pass_gradients_inside_the_open_interval() -> None:
    x = torch.tensor([-1.5, -1.0, -0.999, 0.0, 0.999, 1.0, 1.5], requires_grad=True)
    Planes()(x).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [0, 0, 1, 1, 1, 0, 0]


def test_step_compares_with_its_threshold() -> None:
    assert Step(0.5)(torch.tensor([0.25, 0.5, 0.75])).tolist() == [0, 1, 1]


def test_error_decay_follows_its_schedule() -> None:
    decay = ErrorDecay()
    assert (decay.t, decay.k) == pytest.approx((0.1, 10.0))
    decay.set_progress(0.5)
    assert (decay.t, decay.k) == pytest.approx((1.0, 1.0))
    decay.set_progress(1.0)
    assert (decay.t, decay.k) == pytest.approx((10.0, 1.0))
