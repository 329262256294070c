"""Estimators: the exact sign forward, the stated derivative backward."""

import math

import pytest
import torch
from torch import Tensor

from bitwright.core.estimators import approx_sign, ede, identity, sign, ste, ste_open, step, straight_through

ALL = {
    "identity": identity,
    "ste": ste,
    "ste_open": ste_open,
    "approx_sign": approx_sign,
    "ede": lambda x: ede(x, 2, 1),
}


def slope(estimator, x: Tensor) -> Tensor:
    x = x.clone().requires_grad_()
    estimator(x).sum().backward()
    assert x.grad is not None
    return x.grad


@pytest.mark.parametrize("name", ALL)
def test_forward_is_the_sign_with_zero_above_and_nan_below(name: str) -> None:
    x = torch.tensor([-2.0, -1e-38, -0.0, 0.0, 1e-38, 3.0, math.inf, -math.inf, math.nan])
    assert ALL[name](x).tolist() == [-1, -1, 1, 1, 1, 1, 1, -1, -1]


def test_step_holds_zero_and_one() -> None:
    assert step(torch.tensor([-1.0, 0.0, 2.0, math.nan])).tolist() == [0, 1, 1, 0]


def test_slopes_at_the_window() -> None:
    x = torch.tensor([-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5])
    assert slope(identity, x).tolist() == [1] * 7
    assert slope(ste, x).tolist() == [0, 1, 1, 1, 1, 1, 0]
    assert slope(ste_open, x).tolist() == [0, 0, 1, 1, 1, 0, 0]
    assert slope(approx_sign, x).tolist() == [0, 0, 1, 2, 1, 0, 0]


@pytest.mark.parametrize(
    ("t", "k", "x", "expected"),
    [(0.1, 10, 0, 1), (0.1, 10, 1, 0.990066), (1, 1, 0.5, 0.786448), (1, 1, 1, 0.419974), (10, 1, 0, 10)],
)
def test_ede_slope(t: float, k: float, x: float, expected: float) -> None:
    found = slope(lambda v: ede(v, t, k), torch.tensor([x, -x], dtype=torch.float32))
    torch.testing.assert_close(found, torch.full((2,), float(expected)), rtol=1e-5, atol=0)


@pytest.mark.parametrize(("name", "area"), [("ste", 2.0), ("ste_open", 2.0), ("approx_sign", 2.0), ("ede", 2.0)])
def test_slopes_integrate_to_the_height_of_the_sign(name: str, area: float) -> None:
    x = torch.linspace(-6, 6, 120001, dtype=torch.float64)
    assert torch.trapezoid(slope(ALL[name], x), x).item() == pytest.approx(area, abs=2e-4)


def test_slope_is_evaluated_in_the_backward_pass_only() -> None:
    seen = []
    x = torch.ones(3, requires_grad=True)
    y = sign(x, slope=lambda v: seen.append(1) or torch.full_like(v, 3.0))
    assert not seen
    y.sum().backward()
    assert x.grad is not None and x.grad.tolist() == [3, 3, 3] and len(seen) == 1


def test_straight_through_takes_value_and_gradient_apart() -> None:
    value, surrogate = torch.tensor([0.3, -0.3]), torch.tensor([1.0, 2.0], requires_grad=True)
    y = straight_through(value, surrogate)
    y.backward(torch.tensor([5.0, 7.0]))
    assert torch.equal(y, value)
    assert surrogate.grad is not None and surrogate.grad.tolist() == [5, 7]


@pytest.mark.parametrize("name", ALL)
def test_estimators_keep_half_precision(name: str) -> None:
    x = torch.randn(5, dtype=torch.bfloat16, requires_grad=True)
    ALL[name](x).sum().backward()
    assert ALL[name](x).dtype == x.dtype
    assert x.grad is not None and x.grad.dtype == x.dtype


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch's own, while tracing
@pytest.mark.parametrize("name", ALL)
def test_estimators_compile_without_a_graph_break(name: str) -> None:
    x = torch.randn(2, 3)
    torch._dynamo.reset()
    compiled = torch.compile(ALL[name], fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(slope(compiled, x), slope(ALL[name], x))
