"""Thermometer: pixels as signs, so that the first convolution can be binary, too."""

from torch import Tensor, nn

from bitwright.core.custom_ops import thermometer


class Thermometer(nn.Module):
    """Each pixel p becomes B signs, of which as many are +1 as the pixel has levels.

    t_i = +1 if i < round(255 p / resolution) else -1, for i from 0 to B - 1, with B = round(255 / resolution). Ties are
    rounded to even; 255 p is taken for an integer if within 0.001 of one, since p comes from p * (1 / 255) as well
    as from p / 255. There is no gradient.

    Shape:
        x (N, C, H, W) from 0 to 1, not normalised; y (N, C * B, H, W), the signs of a channel next to each other.

    Args:
        resolution: Neighbouring grey values that share a level, from 1 to 128.

    Raises:
        ValueError: If resolution is out of range.

    Example:
        >>> import torch
        >>> Thermometer(64)(torch.tensor([0.0, 0.5, 1.0]).view(1, 1, 1, 3))[0, :, 0]
        tensor([[-1.,  1.,  1.],
                [-1.,  1.,  1.],
                [-1., -1.,  1.],
                [-1., -1.,  1.]])

    Reference:
        Zhang et al., "FracBNN: Accurate and FPGA-Efficient Binary Neural Networks with Fractional Activations", FPGA
        2021, whose resolution is 8.
    """

    def __init__(self, resolution: int = 8) -> None:
        """Keep the resolution."""
        super().__init__()
        if not 1 <= resolution <= 128:
            raise ValueError(f"resolution: expected 1 to 128 grey values a level, found {resolution}.")
        self.resolution = resolution

    def forward(self, x: Tensor) -> Tensor:
        """The code of a batch of images."""
        return thermometer(x, self.resolution)

    def extra_repr(self) -> str:
        """The resolution, where the module is printed."""
        return f"resolution={self.resolution}"
