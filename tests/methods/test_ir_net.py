"""IR-Net: what Libra-PB leaves unchanged, its scales, and EDE's values and limits."""

import pytest
import torch
from torch import Tensor, nn

from bitwright.core.binarizers import ErrorDecay
from bitwright.core.estimators import ede
from bitwright.methods import ir_net
from bitwright.methods.ir_net import LibraWeight


def slope(x: Tensor, t: float, k: float) -> Tensor:
    x = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(ede(x, t, k).sum(), x)
    return gradient


def test_shifting_and_stretching_a_filter_changes_nothing() -> None:
    w = torch.randint(-64, 64, (8, 4, 3, 3)) / 64
    w -= w.mean((1, 2, 3), keepdim=True)  # no weight at the mean, where rounding would decide
    binarized = LibraWeight()(w)
    assert torch.equal(LibraWeight()(w + 2.0), binarized)
    assert torch.equal(LibraWeight()(3.0 * w), binarized)
    assert torch.equal(binarized > 0, w >= 0)


@pytest.mark.parametrize("draw", [torch.randn, torch.rand], ids=["normal", "uniform"])
def test_the_scale_of_usual_filters_is_one(draw) -> None:
    assert LibraWeight()(draw(16, 64, 3, 3)).abs().unique().tolist() == [1.0]


@pytest.mark.parametrize("outliers", [1, 2, 5, 9])
def test_scales_are_the_nearest_powers_of_two(outliers: int) -> None:
    w = torch.randn(6, 4608) / 1000
    w[:, :outliers] = 1.0
    v = (w - w.mean(1, keepdim=True)) / w.std(1, keepdim=True)
    scale = LibraWeight()(w).abs()
    assert (scale == scale[:, :1]).all() and (torch.frexp(scale).mantissa == 0.5).all()
    assert (scale[:, 0].log2() - v.abs().mean(1).log2()).abs().max() <= 0.5
    assert (scale < 1).all()


def test_half_of_the_bits_of_a_shifted_filter_are_one() -> None:
    share = (LibraWeight()(torch.randn(16, 64, 3, 3) + 3.0) > 0).float().mean((1, 2, 3))
    assert (share - 0.5).abs().max() < 0.1


def test_gradient_neither_shifts_nor_stretches_a_filter() -> None:
    w = torch.randn(8, 4, 3, 3, dtype=torch.float64, requires_grad=True)
    LibraWeight()(w).backward(torch.randn(8, 4, 3, 3, dtype=torch.float64))
    assert w.grad is not None and w.grad.any()
    centred = w.detach() - w.detach().mean((1, 2, 3), keepdim=True)
    torch.testing.assert_close(w.grad.sum((1, 2, 3)), torch.zeros(8, dtype=torch.float64))
    torch.testing.assert_close((w.grad * centred).sum((1, 2, 3)), torch.zeros(8, dtype=torch.float64))


@pytest.mark.parametrize("value", [0.0, 0.1, -0.3])
def test_a_constant_filter_stays_finite_and_can_leave(value: float) -> None:
    w = torch.full((2, 7, 3, 3), value, requires_grad=True)
    out = LibraWeight()(w)
    out.backward(torch.randn(2, 7, 3, 3))
    assert (out.abs() == 1).all()
    assert w.grad is not None and w.grad.any() and w.grad.abs().max() < 10


def test_a_filter_of_one_weight_is_plus_one() -> None:
    assert LibraWeight()(torch.tensor([[0.5], [-2.0]])).tolist() == [[1.0], [1.0]]


@pytest.mark.parametrize(
    ("t", "k", "x", "expected"),
    [
        (0.1, 10.0, [0.0, 1.0, 2.0], [1.0, 0.990066, 0.961043]),
        (1.0, 1.0, [0.0, 0.5, 1.0], [1.0, 0.786448, 0.419974]),
        (10.0, 1.0, [0.0, 0.1, 0.5], [10.0, 4.199743, 0.001816]),
    ],
)
def test_slopes_of_the_surrogate(t: float, k: float, x: list[float], expected: list[float]) -> None:
    assert slope(torch.tensor(x), t, k).tolist() == pytest.approx(expected, abs=1e-6)
    assert slope(-torch.tensor(x), t, k).tolist() == pytest.approx(expected, abs=1e-6)


def test_limits_of_the_surrogate() -> None:
    x = torch.linspace(-60, 60, 120_001, dtype=torch.float64)
    assert torch.allclose(slope(x, 1e-5, 1e5), torch.ones_like(x), atol=1e-6)  # the identity
    for t in (1.0, 3.0, 10.0):
        assert torch.trapezoid(slope(x, t, 1.0), x).item() == pytest.approx(2.0, abs=1e-6)  # the sign's own jump


@pytest.mark.parametrize(("t_min", "switch"), [(0.1, 0.5), (1e-3, 0.75)])
def test_both_surrogates_follow_the_schedule(t_min: float, switch: float) -> None:
    layer, method = nn.Conv2d(4, 3, 3), ir_net(t_min)
    for decay in (method.weight(layer).sign, method.activation(layer)):
        assert isinstance(decay, ErrorDecay)
        for progress in (0.0, 0.3, 0.9, 1.0):
            decay.set_progress(progress)
            assert decay.t == pytest.approx(t_min * (10 / t_min) ** progress)
            assert decay.k * decay.t == pytest.approx(max(1.0, decay.t))
            assert (decay.k > 1) == (progress < switch)


def test_real_input_leaves_the_activations_alone() -> None:
    assert isinstance(ir_net(real_input=True).activation(nn.Linear(4, 2)), nn.Identity)


def test_a_schedule_that_falls_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected 0 < t_min <= t_max, found 0 and 10.0"):
        ir_net(t_min=0)
