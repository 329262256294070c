"""NAS-BNN's networks: MobileNet's order of layers with ordinary convolutions, each block of a shape of its own.

A line of text says what a network is made of, a word for the first convolution and one for each block: `96k5g2s2` is a
block of 96 channels whose first convolution has 5x5 kernels, 2 groups and stride 2. What is left out is k3, g1 and s1.

Reference: Lin et al., "NAS-BNN: Neural Architecture Search for Binary Neural Networks", 2024 (arXiv 2408.15484), and
the authors' code.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn

from bitwright.nn.activations import RPReLU
from bitwright.nn.quantized_conv import QuantizedConv2d
from bitwright.zoo.reactnet import ReActBlock

SMALLEST = "24s2 48 48 96g2s2 96g2 192g4s2 192g4 384g8s2 " + 7 * "384g8 " + "768g16s2 768g16"
_WORD = re.compile(r"(\d+)(?:k(\d+))?(?:g(\d+))?(?:s(\d+))?")


@dataclass(frozen=True)
class BlockShape:
    """One word of a description.

    Attributes:
        channels: Of the result.
        kernel: Side of the kernel of the convolution that keeps the channels.
        groups: Of that convolution.
        stride: Of that convolution.
    """

    channels: int
    kernel: int = 3
    groups: int = 1
    stride: int = 1

    def __str__(self) -> str:
        """The word, without what is usual."""
        parts = (("k", self.kernel, 3), ("g", self.groups, 1), ("s", self.stride, 1))
        return f"{self.channels}" + "".join(f"{letter}{n}" for letter, n, usual in parts if n != usual)


def parse_arch(text: str) -> tuple[BlockShape, ...]:
    """The shapes that a description names: of the first convolution, then of each block.

    Args:
        text: Words with spaces between.

    Raises:
        ValueError: A word is none, a kernel is even, or groups do not divide the channels.

    Example:
        >>> parse_arch("8s2 16k5g2")[1]
        BlockShape(channels=16, kernel=5, groups=2, stride=1)
    """
    found = [_WORD.fullmatch(word) for word in text.split()]
    for word, match in zip(text.split(), found, strict=True):
        if match is None or not all(int(n) for n in match.groups() if n):
            raise ValueError(f"arch: expected words like 96k5g2s2, found {word!r}")
    shapes = tuple(BlockShape(int(m[1]), int(m[2] or 3), int(m[3] or 1), int(m[4] or 1)) for m in found if m)
    if len(shapes) < 2:
        raise ValueError(f"arch: expected a word for the first convolution and one for each block, found {text!r}")
    if (shapes[0].kernel, shapes[0].groups) != (3, 1):
        raise ValueError(f"arch: the first convolution has 3x3 kernels and no groups, found {shapes[0]}")
    for before, shape in pairwise(shapes):
        if shape.kernel % 2 == 0 or before.channels % shape.groups:
            raise ValueError(
                f"arch: {shape} behind {before.channels} channels: expected an odd kernel, and groups that divide them"
            )
    return shapes


def write_arch(shapes: Sequence[BlockShape]) -> str:
    """The description of shapes, which `parse_arch` reads back.

    Args:
        shapes: Of the first convolution and the blocks.
    """
    return " ".join(map(str, shapes))


class NasBnn(nn.Module):
    """The network that `nas_bnn` builds. Shape: x (N, in_channels, H, W), result (N, num_classes).

    `real_layers` names the first convolution, whose weights have 8 bits, and the linear layer.
    """

    real_layers = ("conv", "classifier")

    def __init__(self, num_classes: int, in_channels: int, shapes: Sequence[BlockShape]) -> None:
        super().__init__()
        stem = shapes[0]
        self.conv = QuantizedConv2d(in_channels, stem.channels, 3, stem.stride, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(stem.channels)
        self.act = RPReLU(stem.channels)
        self.blocks = nn.Sequential(
            *[
                ReActBlock(before.channels, shape.channels, shape.stride, "rprelu", shape.kernel, shape.groups)
                for before, shape in pairwise(shapes)
            ]
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.classifier = nn.Linear(shapes[-1].channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of a batch of images."""
        x = self.blocks(self.act(self.bn(self.conv(x))))
        return self.classifier(self.flatten(self.pool(x)))


def nas_bnn(num_classes: int = 1000, in_channels: int = 3, arch: str = SMALLEST) -> NasBnn:
    """A network of the space that NAS-BNN searches, or any other of this form.

    A block is RSign, a convolution that keeps the channels, batch norm, sum, RPReLU, then RSign, a 1x1 convolution,
    batch norm, sum, RPReLU (`ReActBlock`). Shortcuts pool by the stride and repeat channels.

    Args:
        num_classes: outputs.
        in_channels: of the image.
        arch: a word for the first convolution and one for each block: channels, then k and the side of the kernel, g
            and the groups, s and the stride. By default the smallest network of the published space, 20.77 million OPs.

    Shape:
        x (N, in_channels, H, W), sides that are multiples of all strides multiplied; result (N, num_classes).

    Raises:
        ValueError: the description is none.

    Example:
        >>> net = nas_bnn(10, arch="16 16 32k5g2s2 64s2")
        >>> len(net.blocks), net.classifier.in_features
        (3, 64)
    """
    return NasBnn(num_classes, in_channels, parse_arch(arch))
