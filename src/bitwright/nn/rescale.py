"""Corrections of a binary layer's output y by its real input x: modules of (x, y), for `Method.rescale`."""

from math import prod
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bitwright.nn.resize import MatchSize
from bitwright.nn.shapes import per_output


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
    """y * alpha with one learned alpha for each output channel, first uniform in [0, 1) unless `start` is given.

    Shape:
        x is not used; y (N, out, H', W') or (..., out).

    Args:
        layer: nn.Conv2d or nn.Linear, for its width.
        start: (out,) the first values.
    """

    def __init__(self, layer: nn.Module, start: Tensor | None = None) -> None:
        super().__init__()
        shape = per_output(layer)
        self.alpha = nn.Parameter(torch.rand(shape) if start is None else start.view(shape))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Multiply y by alpha."""
        return y * self.alpha


class Gate(nn.Module):
    """y * scale * G(x) per output channel, with G(x) = sigmoid(W2 relu(W1 mean(x))), the mean over all pixels.

    The scale starts at the filter's mean(abs(w)), so that the layer starts at half the size of its real twin.

    Shape:
        x (N, C, H, W), y (N, out, H', W'); for a linear layer x (..., C), y (..., out), and x is its own mean.

    Args:
        layer: nn.Conv2d or nn.Linear, whose output is corrected.
        reduction: W1 is (C / reduction, C), W2 (out, C / reduction).

    Reference: Martinez et al., "Training Binary Neural Networks with Real-to-Binary Convolutions", ICLR 2020.
    """

    def __init__(self, layer: nn.Module, reduction: int = 8) -> None:
        super().__init__()
        weight = layer.get_parameter("weight")
        self.maps = isinstance(layer, nn.Conv2d)
        inputs = layer.in_channels if isinstance(layer, nn.Conv2d) else weight.shape[1]
        hidden = max(inputs // reduction, 1)
        self.squeeze = nn.Linear(inputs, hidden, bias=False)
        self.excite = nn.Linear(hidden, len(weight), bias=False)
        self.scale = nn.Parameter(weight.detach().flatten(1).abs().mean(1))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Correct y."""
        mean = x.mean((-2, -1)) if self.maps else x
        factor = self.excite(self.squeeze(mean).relu()).sigmoid() * self.scale  # (N, out)
        return y * (factor.view(*factor.shape, 1, 1) if self.maps else factor)


class ElasticLink(nn.Module):
    """gamma * y + T(x): the real input, resized by `MatchSize`, joins the output.

    With `normalize` a batch norm of the link's own takes the place of gamma: bn(y) + T(x). With `input_scale` y is
    multiplied by the factor K of `InputScale` before.

    Shape:
        x (N, C, H, W), y (N, out, H', W'); for a linear layer x (N, C), y (N, out).

    Args:
        layer: nn.Conv2d or nn.Linear, whose output is corrected.
        gamma: one number a "channel", or one for the whole "layer"; they start at 1.
        normalize: see above.
        squeeze: see `MatchSize`.
        input_scale: see above.

    Reference: Hu et al., "Elastic-Link for Binarized Neural Networks", AAAI 2022; a reconstruction.
    """

    def __init__(
        self,
        layer: nn.Module,
        gamma: Literal["channel", "layer"] = "channel",
        normalize: bool = False,
        squeeze: Literal["sum", "mean"] = "sum",
        input_scale: bool = False,
    ) -> None:
        super().__init__()
        self.input_scale = InputScale(layer) if input_scale else None
        self.match = MatchSize(layer, squeeze)
        shape = per_output(layer)
        norm = nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d
        self.norm = norm(shape[0]) if normalize else nn.Identity()
        self.gamma = None if normalize else nn.Parameter(torch.ones(shape if gamma == "channel" else ()))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Correct y."""
        y = y if self.input_scale is None else self.input_scale(x, y)
        return (self.norm(y) if self.gamma is None else y * self.gamma) + self.match(x)
