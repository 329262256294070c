"""Operations of NAS-BNN's networks, by the rule of the paper: OPs = BOPs / 64 + FLOPs."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from bitwright.zoo.nas_bnn import BlockShape

STEM_BITS = 8


@dataclass(frozen=True)
class Operations:
    """What a network costs for one image.

    Attributes:
        bops: Multiply-adds of binary convolutions.
        flops: Multiply-adds of the first convolution, divided by 64 / sqrt(8 * 8) for its weights of 8 bits, and
            classes * (channels + 1) of the linear layer. Nothing else is counted.
    """

    bops: int
    flops: float

    @property
    def ops(self) -> float:
        """BOPs / 64 + FLOPs."""
        return self.bops / 64 + self.flops


def count_operations(
    shapes: Sequence[BlockShape], size: int, num_classes: int = 1000, in_channels: int = 3
) -> Operations:
    """Count the operations of a network; `bw.count` counts the first layer's in full.

    Args:
        shapes: Of the first convolution and the blocks.
        size: Side of the image.
        num_classes: Outputs of the linear layer.
        in_channels: Of the image.

    Example:
        >>> from bitwright.zoo.nas_bnn import SMALLEST, parse_arch
        >>> count_operations(parse_arch(SMALLEST), 224).ops
        20772760.0
    """
    side = _strided(size, shapes[0].stride)
    flops = 9 * in_channels * shapes[0].channels * side**2 / STEM_BITS
    bops = 0
    for before, shape in pairwise(shapes):
        side = _strided(side, shape.stride)
        inputs = before.channels
        bops += side**2 * inputs * (shape.kernel**2 * inputs // shape.groups + shape.channels)
    return Operations(bops, flops + num_classes * (shapes[-1].channels + 1))


def _strided(side: int, stride: int) -> int:
    return -(-side // stride)
