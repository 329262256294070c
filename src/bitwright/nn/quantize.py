"""Quantize: a few levels, evenly spaced over [-1, 1], in place of real values that a shortcut carries."""

from typing import Any

import torch
from torch import Tensor, nn


class _Quantize(torch.autograd.Function):
    """The nearest level; the gradient passes where -1 < x < 1."""

    @staticmethod
    def forward(x: Tensor, step: float) -> Tensor:
        return ((x.clamp(-1, 1) + 1) / step).round() * step - 1

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return grads[0] * (x.abs() < 1), None


class Quantize(nn.Module):
    """Q(x) = step * round((clamp(x, -1, 1) + 1) / step) - 1 with step = 2 / (2^bits - 1), halves to even numbers.

    The gradient is 1 where -1 < x < 1, else 0.

    Shape:
        any, unchanged.

    Args:
        bits: 1 or more; there are 2^bits levels.

    Raises:
        ValueError: bits is less than 1.

    Reference: Zhang et al., "FracBNN: Accurate and FPGA-Efficient Binary Neural Networks with Fractional Activations",
    FPGA 2021, and the authors' code.
    """

    def __init__(self, bits: int) -> None:
        super().__init__()
        if bits < 1:
            raise ValueError(f"bits: expected 1 or more, found {bits}")
        self.bits = bits

    def forward(self, x: Tensor) -> Tensor:
        """Quantize x."""
        return _Quantize.apply(x, 2 / (2**self.bits - 1))  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        """How many bits."""
        return f"bits={self.bits}"
