"""Quantize: a few levels, evenly spaced over [-1, 1], in place of real values that a shortcut carries."""

from torch import Tensor, nn

from bitwright.core.estimators import round_to_levels


class Quantize(nn.Module):
    """Q(x) = step * round((clamp(x, -1, 1) + 1) / step) - 1 with step = 2 / (2^bits - 1), halves to even numbers.

    The sum is multiplied by the inverse of the step, in float32: for four bits that takes x = 0 to -1/15, as published.
    The gradient is 1 where -1 < x < 1, else 0.

    Shape:
        any, unchanged.

    Args:
        bits: 1 to 15; there are 2^bits levels.

    Raises:
        ValueError: bits is out of range.

    Reference: Zhang et al., "FracBNN: Accurate and FPGA-Efficient Binary Neural Networks with Fractional Activations",
    FPGA 2021, and the authors' code.
    """

    def __init__(self, bits: int) -> None:
        super().__init__()
        if not 1 <= bits <= 15:
            raise ValueError(f"bits: expected 1 to 15, found {bits}")
        self.bits = bits

    def forward(self, x: Tensor) -> Tensor:
        """Quantize x."""
        return round_to_levels(x, self.bits, slope=lambda x: x.abs().lt_(1))

    def extra_repr(self) -> str:
        """How many bits."""
        return f"bits={self.bits}"
