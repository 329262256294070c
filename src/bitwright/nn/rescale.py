"""Rescaling: modules of a layer's real input x and its output y, whose result replaces the output."""

from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class InputScale(nn.Module):
    """y * K with K = mean(abs(x)) over the window of each output pixel, a constant to the gradient.

    K = conv(mean over channels of abs(x), box of 1/(kh*kw)), with the layer's stride, padding and dilation; padding
    counts as zeros. In a grouped convolution each group has its own K, in a linear layer each sample. A bias is
    multiplied too.

    Shape:
        x (N, in, H, W), y (N, out, H', W'); of a linear layer x (..., in), y (..., out).

    Args:
        layer: nn.Conv2d or nn.Linear, for its geometry.

    Reference: Rastegari et al., "XNOR-Net", ECCV 2016, section 3.2.
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.is_conv = isinstance(layer, nn.Conv2d)
        if isinstance(layer, nn.Conv2d):
            self.taps, self.groups, self.filters = layer.kernel_size, layer.groups, layer.out_channels // layer.groups
            self.stride, self.padding, self.dilation = layer.stride, layer.padding, layer.dilation

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Multiply y by the scale of x."""
        magnitude = x.detach().abs()
        return y * (self._of_windows(magnitude) if self.is_conv else F.linear(magnitude, _mean(x, 1, x.shape[-1])))

    def _of_windows(self, x: Tensor) -> Tensor:
        """Means over each group's channels, then over the taps: (N, 1 or out, H', W')."""
        by_pixel = F.conv2d(x, _mean(x, self.groups, x.shape[-3] // self.groups, 1, 1), groups=self.groups)
        box = _mean(x, self.groups, 1, *self.taps)
        k = F.conv2d(by_pixel, box, None, self.stride, self.padding, self.dilation, self.groups)
        return k if self.groups == 1 else k.repeat_interleave(self.filters, -3)


def _mean(like: Tensor, out: int, *window: int) -> Tensor:
    """A weight (out, *window) that averages."""
    return torch.full((out, *window), 1 / prod(window), dtype=like.dtype, device=like.device)


class ChannelScale(nn.Module):
    """y * alpha with one learned alpha for each output channel, first uniform in [0, 1).

    Shape:
        x is not used; y (N, out, H', W') or (..., out).

    Args:
        layer: nn.Conv2d or nn.Linear, for its width.
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        pixels = (1, 1) if isinstance(layer, nn.Conv2d) else ()
        self.alpha = nn.Parameter(torch.rand(layer.get_parameter("weight").shape[0], *pixels))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Multiply y by alpha."""
        return y * self.alpha
