"""Standardised tensors: each filter, or each sample, centred and divided by its spread, with the gradient in one piece.

Differentiated operation by operation, the same takes several times the passes over memory.
"""

from math import sqrt
from typing import Any

import torch
from torch import Tensor


def along(x: Tensor) -> tuple[int, ...]:
    """The axes of a filter, or of a sample: all but the first."""
    return tuple(range(1, x.dim()))


def inner(a: Tensor, b: Tensor) -> Tensor:
    """The inner product of each filter or sample, shaped to broadcast: (first, 1, ...)."""
    return (a * b).sum(along(a), keepdim=True)  # faster than a batch of products of one row and one column


class _Standardise(torch.autograd.Function):
    """With <a, b> the inner product over the divisor, and g, s and m the gradients of v, spread and mean.

    dL/dx = (g - mean(g) - v * (<g, v> - spread * s / divisor)) / spread + m / n
    """

    @staticmethod
    def forward(x: Tensor, divisor: float, epsilon: float) -> tuple[Tensor, Tensor, Tensor]:
        mean = x.mean(along(x), keepdim=True)
        centred = x - mean
        spread = spread_of(centred, divisor, epsilon)
        return centred.div_(spread), spread, mean

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
        _, ctx.divisor, _ = inputs
        ctx.save_for_backward(*output[:2])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        v, spread = ctx.saved_tensors
        g, to_spread, to_mean = grads
        constant = g.mean(along(g), keepdim=True) - spread * to_mean / v[0].numel()
        share = (inner(g, v) - spread * to_spread) / ctx.divisor
        return (g - constant).addcmul_(v, share, value=-1).div_(spread), None, None


def spread_of(centred: Tensor, divisor: float, epsilon: float) -> Tensor:
    """sqrt(sum(centred^2) / divisor + epsilon) of each filter or sample, shaped to broadcast."""
    norm = torch.linalg.vector_norm(centred, dim=along(centred), keepdim=True)  # many times as fast as std
    return (norm / sqrt(divisor)).square_().add_(epsilon).sqrt_()


def standardise(x: Tensor, divisor: float, epsilon: float = 0.0) -> tuple[Tensor, Tensor, Tensor]:
    """Centre and divide by the spread, along all axes but the first.

    v = (x - mean) / spread, spread = sqrt(sum((x - mean)^2) / divisor + epsilon)

    Args:
        x: filters or samples; without epsilon, the values of none may be all equal.
        divisor: how many values there are for the deviation, one less for the unbiased one; other values scale v.
        epsilon: added to the variance, 0 or more.

    Shape:
        x and v (first, ...); spread and mean (first, 1, ...).

    Returns:
        v, spread and mean, all with their gradients.
    """
    return _Standardise.apply(x, divisor, epsilon)  # type: ignore[no-any-return]
