"""Standardised filters: the formula, and its gradient against that of single operations."""

import pytest
import torch
from torch import Tensor

from bitwright.core.standardise import inner, standardise

SHAPES = [(3, 4, 3, 3), (5, 7)]


def by_single_operations(x: Tensor, divisor: float, epsilon: float) -> tuple[Tensor, Tensor, Tensor]:
    dims = tuple(range(1, x.dim()))
    mean = x.mean(dims, keepdim=True)
    spread = ((x - mean).square().sum(dims, keepdim=True) / divisor + epsilon).sqrt()
    return (x - mean) / spread, spread, mean


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("divisor", "epsilon"), [(8.0, 0.0), (30.0, 0.1)])
@pytest.mark.parametrize("used", [(0,), (1,), (2,), (0, 1, 2)])
def test_values_and_gradients_are_those_of_the_formula(shape, divisor: float, epsilon: float, used) -> None:
    x = (torch.randn(shape, dtype=torch.float64) + 2).requires_grad_()
    found, expected = standardise(x, divisor, epsilon), by_single_operations(x, divisor, epsilon)
    upstream = [torch.randn_like(part) for part in found]
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)
    gradients = [
        torch.autograd.grad(sum((parts[i] * upstream[i]).sum() for i in used), x) for parts in (found, expected)
    ]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("shape", SHAPES)
def test_inner_products_broadcast(shape) -> None:
    a, b = torch.randn(shape), torch.randn(shape)
    assert inner(a, b).shape == (shape[0], *[1] * (len(shape) - 1))
    torch.testing.assert_close(inner(a, b).flatten()[1], torch.dot(a[1].flatten(), b[1].flatten()))
