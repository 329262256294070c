"""Thermometer: pixels as binary codes, so that the first convolution can be binary too."""

from torch import Tensor, nn

from bitwright.core.custom_ops import sign


class Thermometer(nn.Module):
    """t_i = +1 where i < round(255 * x / resolution), else -1; i from 0 to round(255 / resolution) - 1.

    Halves are rounded to even numbers. The codes of the first channel come first. There is no gradient.

    Shape:
        x (N, C, H, W) from 0 to 1, result (N, C * round(255 / resolution), H, W).

    Args:
        resolution: grey levels, of 255, for each code.

    Reference: Zhang et al., "FracBNN: Accurate and FPGA-Efficient Binary Neural Networks with Fractional Activations",
    FPGA 2021, and the authors' code.
    """

    def __init__(self, resolution: int = 8) -> None:
        super().__init__()
        self.resolution = resolution

    def forward(self, x: Tensor) -> Tensor:
        """Encode x."""
        steps = [i + 0.5 for i in range(round(255 / self.resolution))]
        level = (255 * x / self.resolution).round()
        return sign(level[:, :, None] - level.new_tensor(steps)[:, None, None]).flatten(1, 2)

    def extra_repr(self) -> str:
        """The resolution."""
        return f"resolution={self.resolution}"
