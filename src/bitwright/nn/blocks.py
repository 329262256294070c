"""Pieces of blocks that spend little real-valued work: shortcuts without real weights, and convolutions in groups."""

from math import sqrt
from typing import Literal

import torch
from torch import Tensor, nn

from bitwright.nn.resize import match_channels


class ChannelShuffle(nn.Module):
    """Deal the channels of each group out to all groups: channel i*groups + g of the result is g*(C/groups) + i of x.

    Between two grouped convolutions it lets the groups exchange what they found.

    Shape:
        x (N, channels, H, W), unchanged.

    Args:
        channels: how many channels x has, a multiple of groups.
        groups: how many groups they form.

    Raises:
        ValueError: the channels do not divide into groups.
    """

    order: Tensor

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        if groups < 1 or channels % groups:
            raise ValueError(f"groups: expected a divisor of {channels} channels, found {groups}")
        self.groups = groups
        self.register_buffer("order", torch.arange(channels).view(groups, -1).T.flatten(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Shuffle x."""
        return x.index_select(1, self.order)

    def extra_repr(self) -> str:
        """How many of each."""
        return f"{len(self.order)}, groups={self.groups}"


def grouped_width(width: int, groups: int) -> int:
    """How wide a network in groups may be at the same binary work: width * sqrt(groups), a multiple of groups.

    A convolution of r times the width in g groups does r^2/g times the work.

    Example:
        >>> grouped_width(64, 4)
        128
    """
    return round(width * sqrt(groups) / groups) * groups


class PooledCopies(nn.Module):
    """Average pooling, and the channels repeated one set after another: a shortcut without any weight.

    Shape:
        x (N, C, H, W), result (N, outputs, H/stride, W/stride).

    Args:
        outputs: channels of the result; of fewer than C the first are kept.
        stride: of the pooling.
    """

    def __init__(self, outputs: int, stride: int) -> None:
        super().__init__()
        self.outputs = outputs
        self.pool = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Resize x."""
        kept = x if x.shape[1] <= self.outputs else x[:, : self.outputs]
        return match_channels(self.pool(kept), self.outputs)

    def extra_repr(self) -> str:
        """The number of channels."""
        return f"outputs={self.outputs}"


class AddedConv(nn.Module):
    """PooledCopies(x) + bn(conv(pool(x))) with a 1x1 convolution, which is there to be made binary.

    Shape:
        x (N, inputs, H, W), result (N, outputs, H/stride, W/stride).
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.pool = PooledCopies(inputs, stride)
        self.copies = PooledCopies(outputs, 1)
        self.conv = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Resize x."""
        pooled = self.pool(x)
        return self.copies(pooled) + self.bn(self.conv(pooled))


def purified_shortcut(
    inputs: int, outputs: int, stride: int, kind: Literal["copies", "binary"] = "copies"
) -> PooledCopies | AddedConv:
    """A shortcut in place of the real 1x1 convolution where a block changes the shape.

    Args:
        inputs: channels before.
        outputs: channels after, at least as many.
        stride: how the sides shrink.
        kind: "copies" has no weight; "binary" adds a 1x1 convolution to the copies, for `binarize` to find.

    Raises:
        ValueError: kind is neither.
    """
    if kind not in ("copies", "binary"):
        raise ValueError(f"kind: expected 'copies' or 'binary', found {kind!r}")
    return PooledCopies(outputs, stride) if kind == "copies" else AddedConv(inputs, outputs, stride)
