"""Estimators: the exact sign forward, and the derivative of a surrogate backward.

Each is one line on top of `sign`; the forward value is always +1 where x >= 0 and -1 elsewhere.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from bitwright.core import custom_ops

Slope = Callable[[Tensor], Tensor]
Estimator = Callable[[Tensor], Tensor]


class _Threshold(torch.autograd.Function):
    """A function of x of a few values, with the derivative of another one."""

    @staticmethod
    def forward(x: Tensor, slope: Slope | None, values: Callable[[Tensor], Tensor]) -> Tensor:
        return values(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, ctx.slope, _ = inputs
        if ctx.slope is not None:
            ctx.save_for_backward(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        if ctx.slope is None:
            return grads[0], None, None
        (x,) = ctx.saved_tensors
        return ctx.slope(x).mul_(grads[0]), None, None  # a fresh tensor of this size costs more than the product


class _Substitute(torch.autograd.Function):
    """One tensor's value, another one's gradient."""

    @staticmethod
    def forward(value: Tensor, surrogate: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor]:
        return None, grads[0]


def sign(x: Tensor, slope: Slope | None = None) -> Tensor:
    """Sign with an estimated gradient: y = +1 where x >= 0, else -1; dL/dx = slope(x) * dL/dy.

    Args:
        x: real tensor; NaN gives -1.
        slope: derivative of the surrogate, evaluated in the backward pass. It returns a new tensor of x's shape and
            dtype, which is overwritten. None is the identity, slope 1.

    Shape:
        x and y: any, the same.

    Example:
        >>> sign(torch.tensor([-0.5, 0.0, 2.0]), slope=lambda x: x.abs().lt(1).to(x.dtype))
        tensor([-1.,  1.,  1.])
    """
    return _Threshold.apply(x, slope, custom_ops.sign)  # type: ignore[no-any-return]


def step(x: Tensor, slope: Slope | None = None) -> Tensor:
    """Step with an estimated gradient: y = 1 where x >= 0, else 0; dL/dx = slope(x) * dL/dy. See `sign`."""
    return _Threshold.apply(x, slope, custom_ops.step)  # type: ignore[no-any-return]


def quantize(x: Tensor, slope: Slope | None = None) -> Tensor:
    """-1, -1/3, +1/3 or +1 with an estimated gradient: dL/dx = slope(x) * dL/dy. See `sign` and `binarizers.Planes`."""
    return _Threshold.apply(x, slope, custom_ops.quantize)  # type: ignore[no-any-return]


def round_to_levels(x: Tensor, bits: int, slope: Slope | None = None) -> Tensor:
    """One of 2^bits levels over [-1, 1] with an estimated gradient: dL/dx = slope(x) * dL/dy. See `nn.quantize`."""
    return _Threshold.apply(x, slope, lambda x: custom_ops.round_to_levels(x, bits))  # type: ignore[no-any-return]


def straight_through(value: Tensor, surrogate: Tensor) -> Tensor:
    """The value of one tensor, exactly, with the gradient of another: y = value, dL/dsurrogate = dL/dy.

    Shape:
        value, surrogate, y: the same.
    """
    return _Substitute.apply(value, surrogate)  # type: ignore[no-any-return]


def identity(x: Tensor) -> Tensor:
    """Sign with slope 1 everywhere."""
    return sign(x)


def ste(x: Tensor) -> Tensor:
    """Sign with the straight-through window: slope 1 where abs(x) <= 1, else 0.

    Reference: Hubara et al., "Binarized Neural Networks", NeurIPS 2016, equation 4.
    """
    return sign(x, slope=lambda x: x.abs().le_(1))


def ste_open(x: Tensor) -> Tensor:
    """Sign with the open straight-through window: slope 1 where abs(x) < 1, else 0.

    Reference: Rastegari et al., "XNOR-Net", ECCV 2016, as in the published code.
    """
    return sign(x, slope=lambda x: x.abs().lt_(1))


def approx_sign(x: Tensor) -> Tensor:
    """Sign with the slope of a piecewise quadratic: max(0, 2 - 2*abs(x)).

    Reference: Liu et al., "Bi-Real Net", ECCV 2018, equation 3.
    """
    return sign(x, slope=triangle)


def triangle(x: Tensor) -> Tensor:
    """The slope of `approx_sign`, a new tensor: max(0, 2 - 2*abs(x))."""
    return x.abs().mul_(-2).add_(2).clamp_(min=0)


def ede(x: Tensor, t: float, k: float) -> Tensor:
    """Sign with the slope of k*tanh(t*x): k*t*(1 - tanh(t*x)^2), wide for small t and sharp for large.

    Args:
        x: real tensor.
        t: sharpness, > 0.
        k: height, > 0; the slope at 0 is k*t.

    Reference: Qin et al., "Forward and Backward Information Retention for Accurate Binary Neural Networks", CVPR 2020.
    """

    def slope(x: Tensor) -> Tensor:
        s = (
            x.abs().mul_(-2 * t).sigmoid_()
        )  # 1 - tanh(u)^2 = 4*s*(1 - s) with s = sigmoid(-2*abs(u)), in a third of the time
        return s.addcmul_(s, s, value=-1).mul_(4 * k * t)

    return sign(x, slope)
