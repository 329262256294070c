"""Residual networks, with one shortcut for every convolution or for every two.

Reference: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, section 4.2; Liu et al., "Bi-Real Net",
ECCV 2018, for one shortcut per convolution; hardtanh in place of ReLU as in binary networks since.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

Nonlinearity = Callable[[], nn.Module]
Shortcut = Literal["conv", "pad"]
Stem = Literal["small", "large"]


class PadChannels(nn.Module):
    """Channels of zeros before and after x's own. Shape: (N, C, H, W), then (N, before + C + after, H, W)."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.before = before
        self.after = after

    def forward(self, x: Tensor) -> Tensor:
        """Pad x."""
        return F.pad(x, (0, 0, 0, 0, self.before, self.after))

    def extra_repr(self) -> str:
        """How many channels."""
        return f"before={self.before}, after={self.after}"


def _shortcut(inputs: int, outputs: int, stride: int, kind: Shortcut, pooled: bool) -> nn.Module:
    """The way around: the identity where nothing changes."""
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    pool = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
    if kind == "pad":
        before = (outputs - inputs) // 2
        return nn.Sequential(pool, PadChannels(before, outputs - inputs - before))
    if pooled:
        return nn.Sequential(pool, nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


class SingleBlock(nn.Module):
    """act(bn(conv(x)) + shortcut(x)): a shortcut around one convolution. Shape: (N, C, H, W), then (N, C', H', W')."""

    def __init__(self, inputs: int, outputs: int, stride: int, shortcut: Shortcut, nonlinearity: Nonlinearity) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(outputs)
        self.shortcut = _shortcut(inputs, outputs, stride, shortcut, pooled=True)
        self.act = nonlinearity()

    def forward(self, x: Tensor) -> Tensor:
        """Run the block."""
        return self.act(self.bn(self.conv(x)) + self.shortcut(x))


class DoubleBlock(nn.Module):
    """act(bn2(conv2(act(bn1(conv1(x))))) + shortcut(x)): one around two. Shape: (N, C, H, W), then (N, C', H', W')."""

    def __init__(self, inputs: int, outputs: int, stride: int, shortcut: Shortcut, nonlinearity: Nonlinearity) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.act1 = nonlinearity()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = _shortcut(inputs, outputs, stride, shortcut, pooled=False)
        self.act2 = nonlinearity()

    def forward(self, x: Tensor) -> Tensor:
        """Run the block."""
        return self.act2(self.bn2(self.conv2(self.act1(self.bn1(self.conv1(x))))) + self.shortcut(x))


class ResNet(nn.Module):
    """The network that `resnet18` and `resnet20` build. Shape: x (N, in_channels, H, W), result (N, num_classes).

    `real_layers` names the first convolution, the 1x1 convolutions of shortcuts, and the linear layer.
    """

    def __init__(
        self,
        widths: Sequence[int],
        convolutions: int,
        num_classes: int,
        in_channels: int,
        shortcut_every: int,
        shortcut: Shortcut,
        nonlinearity: Nonlinearity,
        stem: Stem = "small",
    ) -> None:
        super().__init__()
        if stem not in ("small", "large"):
            raise ValueError(f"stem: expected 'small' or 'large', found {stem!r}")
        if shortcut_every not in (1, 2):
            raise ValueError(f"shortcut_every: expected 1 or 2 convolutions, found {shortcut_every}")
        if shortcut not in ("conv", "pad"):
            raise ValueError(f"shortcut: expected 'conv' or 'pad', found {shortcut!r}")
        block = SingleBlock if shortcut_every == 1 else DoubleBlock
        kernel, stride, padding = (3, 1, 1) if stem == "small" else (7, 2, 3)
        self.conv = nn.Conv2d(in_channels, widths[0], kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(widths[0])
        self.act = nonlinearity()
        self.stem_pool = nn.Identity() if stem == "small" else nn.MaxPool2d(3, 2, padding=1)
        blocks: list[nn.Module] = []
        inputs = widths[0]
        for stage, width in enumerate(widths):
            for index in range(convolutions // shortcut_every):
                stride = 2 if stage and not index else 1
                blocks.append(block(inputs, width, stride, shortcut, nonlinearity))
                inputs = width
        self.blocks = nn.Sequential(*blocks)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.head_bn = nn.BatchNorm1d(inputs)
        self.classifier = nn.Linear(inputs, num_classes)
        pointwise = [n for n, m in self.blocks.named_modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1)]
        self.real_layers = ("conv", *[f"blocks.{name}" for name in pointwise], "classifier")

    def forward(self, x: Tensor) -> Tensor:
        """Logits of a batch of images."""
        x = self.blocks(self.stem_pool(self.act(self.bn(self.conv(x)))))
        return self.classifier(self.head_bn(self.flatten(self.pool(x))))


def resnet18(
    num_classes: int = 10,
    in_channels: int = 3,
    width: int = 64,
    shortcut_every: int = 2,
    shortcut: Shortcut = "conv",
    nonlinearity: Nonlinearity = nn.Hardtanh,
    stem: Stem = "small",
) -> ResNet:
    """ResNet-18: a stem, four stages of four convolutions, 64 to 512 channels.

    With the defaults 10,985,472 weights are binary.

    Args:
        num_classes: outputs.
        in_channels: of the image.
        width: channels of the first stage; each later one doubles them and halves the sides.
        shortcut_every: one shortcut per 1 convolution or per 2.
        shortcut: where the shape changes: "conv" is a real 1x1 convolution and batch norm (after average pooling by 2
            when there is one shortcut per convolution), "pad" average pooling by 2 and channels of zeros.
        nonlinearity: makes the module after the stem's batch norm and after each sum.
        stem: "small" is a 3x3 convolution, for images of about 32x32; "large" a 7x7 one of stride 2 and a 3x3 max-pool
            of stride 2, for images of about 224x224.

    Shape:
        x (N, in_channels, H, W), result (N, num_classes); pooled shortcuts need sides that are multiples of 8,
        of 32 behind the large stem.

    Raises:
        ValueError: shortcut_every, shortcut or stem is none of the above.
    """
    widths = [width, 2 * width, 4 * width, 8 * width]
    return ResNet(widths, 4, num_classes, in_channels, shortcut_every, shortcut, nonlinearity, stem)


def resnet20(
    num_classes: int = 10,
    in_channels: int = 3,
    width: int = 16,
    shortcut_every: int = 1,
    shortcut: Shortcut = "pad",
    nonlinearity: Nonlinearity = nn.Hardtanh,
) -> ResNet:
    """ResNet-20 for images of about 32x32: 3x3 stem, three stages of six convolutions, 16 to 64 channels.

    With the defaults 267,264 weights are binary. Arguments and shapes are those of `resnet18`; pooled shortcuts need
    sides that are multiples of 4.

    Raises:
        ValueError: shortcut_every or shortcut is none of its choices.
    """
    widths = [width, 2 * width, 4 * width]
    return ResNet(widths, 6, num_classes, in_channels, shortcut_every, shortcut, nonlinearity)
