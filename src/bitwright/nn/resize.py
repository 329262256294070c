"""Resizing without parameters: bringing a layer's real input to the shape of its output."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bitwright.nn.shapes import two_sided_padding


class MatchSize(nn.Module):
    """T: a layer's input in the shape of its output, by pooling, cutting and summing or repeating channels.

    Pixels: those over which no window of the layer is centred are cut off (zeros are added where it pads by more than
    half a window); then average pooling by the stride, in which windows that hang over the edge count the pixels they
    have. Channels, C to C':

    - C' = C leaves them alone;
    - Squeeze, C > C': chunk j holds the channels j*C' to (j+1)*C' - 1, and the chunks are summed; the last one may be
      shorter, zeros stand for the rest;
    - Expand, C < C': copies one after another, of which the first C' channels remain.

    Shape:
        x (N, C, H, W), result (N, C', H', W'); for a linear layer x (..., C), result (..., C').

    Args:
        layer: nn.Conv2d or nn.Linear.
        squeeze: "sum", or "mean", which divides the sum by the number of chunks.

    Raises:
        ValueError: squeeze is neither.
    """

    def __init__(self, layer: nn.Module, squeeze: Literal["sum", "mean"] = "sum") -> None:
        super().__init__()
        if squeeze not in ("sum", "mean"):
            raise ValueError(f"squeeze: expected 'sum' or 'mean', found {squeeze!r}")
        self.outputs = len(layer.get_parameter("weight"))
        self.axis = -3 if isinstance(layer, nn.Conv2d) else -1
        self.mean = squeeze == "mean"
        self.cut = _cut(layer) if isinstance(layer, nn.Conv2d) else ()
        self.stride = layer.stride if isinstance(layer, nn.Conv2d) else (1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Resize x."""
        if any(self.cut):
            x = F.pad(x, [-n for n in self.cut])
        if max(self.stride) > 1:
            overhangs = any(size % step for size, step in zip(x.shape[-2:], self.stride, strict=True))
            x = F.avg_pool2d(x, self.stride, ceil_mode=overhangs)
        return match_channels(x, self.outputs, self.axis, self.mean)

    def extra_repr(self) -> str:
        """The sizes."""
        return f"outputs={self.outputs}, stride={self.stride}, mean={self.mean}"


def match_channels(x: Tensor, outputs: int, axis: int = 1, mean: bool = False) -> Tensor:
    """Squeeze or Expand the channels of x, as `MatchSize` does.

    Args:
        x: any tensor.
        outputs: how many channels are wanted.
        axis: of the channels.
        mean: whether a Squeeze divides by the number of chunks.
    """
    inputs = x.shape[axis]
    if inputs == outputs:
        return x
    if inputs < outputs:
        rest = outputs % inputs
        return torch.cat([x] * (outputs // inputs) + ([x.narrow(axis, 0, rest)] if rest else []), axis)
    chunks = [x.narrow(axis, at, min(outputs, inputs - at)) for at in range(0, inputs, outputs)]
    missing = outputs - chunks[-1].shape[axis]
    if missing:
        inner = x.dim() - 1 - axis % x.dim()  # axes behind that of the channels
        chunks[-1] = F.pad(chunks[-1], [0, 0] * inner + [0, missing])
    total = sum(chunks[1:], start=chunks[0])
    return total / len(chunks) if mean else total


def _cut(layer: nn.Conv2d) -> tuple[int, int, int, int]:
    """Pixels to cut off at the left, right, top and bottom, so that each one left is the centre of a window."""
    padding = two_sided_padding(layer)
    extra = [d * (k - 1) - 2 * p for d, k, p in zip(layer.dilation, layer.kernel_size, padding, strict=True)]
    (top, left), (bottom, right) = ([n // 2 for n in extra], [n - n // 2 for n in extra])
    return (left, right, top, bottom)
