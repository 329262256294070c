"""ResNet-50 of binary bottlenecks: each of the three convolutions of a block has its own shortcut.

Two streams of real values run through the network, the narrow one between the 1x1 convolutions of neighbouring blocks
and the wide one around whole blocks.

Reference: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, for the layers; the shortcuts are those
of the code that Liu et al. published for "Bi-Real Net", IJCV 2020.
"""

from typing import Literal

from torch import Tensor, nn

from bitwright.zoo.blocks import check_choice, make_shortcut


class LeakyClip(nn.Module):
    """x inside [-1, 1], and a tenth of the slope outside. Shape: any, unchanged."""

    def forward(self, x: Tensor) -> Tensor:
        """Clip x."""
        return 0.1 * x + 0.9 * x.clamp(-1, 1)


class Bottleneck(nn.Module):
    """A 1x1 convolution to a quarter of the outputs, a 3x3 one, a 1x1 one to all of them, with a shortcut around each.

    a = bn1(conv1(x)) + shortcut1(narrow);  b = bn2(conv2(a)) + shortcut2(a);  result b, bn3(conv3(b)) + shortcut3(x)

    The 3x3 convolution has the stride. A network's first block, of a real conv1, has no shortcut1; a leaky clip comes
    before its conv1 instead.

    Shape:
        narrow (N, inputs/4, H, W), x (N, inputs, H, W); results (N, outputs/4, H/s, W/s), (N, outputs, H/s, W/s).

    Args:
        inputs: Channels of x.
        outputs: Channels of the wide result.
        stride: 1 or 2.
        first: Whether no block comes before.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, first: bool = False) -> None:
        super().__init__()
        middle = outputs // 4
        changes = stride > 1 or inputs != outputs
        self.clip = LeakyClip() if first else nn.Identity()
        self.conv1 = nn.Conv2d(inputs, middle, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(middle)
        self.conv2 = nn.Conv2d(middle, middle, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(middle)
        self.conv3 = nn.Conv2d(middle, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        narrow = nn.Conv2d(inputs // 4, middle, 1, bias=False) if changes else nn.Identity()
        self.shortcut1 = None if first else narrow
        self.shortcut2 = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
        self.shortcut3 = make_shortcut(inputs, outputs, stride, "pool_conv", usual="pool_conv")

    def forward(self, narrow: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Run the block."""
        a = self.bn1(self.conv1(self.clip(x)))
        if self.shortcut1 is not None:
            a = a + self.shortcut1(narrow)
        b = self.bn2(self.conv2(a)) + self.shortcut2(a)
        return b, self.bn3(self.conv3(b)) + self.shortcut3(x)


class BottleneckNet(nn.Module):
    """The network that `resnet50` builds. Shape: x (N, in_channels, H, W), result (N, num_classes).

    `real_layers` names the first convolution, the first block's 1x1 one, those of shortcuts, and the linear layer.
    """

    def __init__(self, num_classes: int, in_channels: int, width: int, stem: Literal["small", "large"]) -> None:
        super().__init__()
        check_choice("stem", stem, ("small", "large"))
        kernel, stride, padding = (3, 1, 1) if stem == "small" else (7, 2, 3)
        self.conv = nn.Conv2d(in_channels, width, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(width)
        self.stem_pool = nn.Identity() if stem == "small" else nn.MaxPool2d(3, 2, padding=1)
        self.blocks = nn.ModuleList()
        inputs = width
        for stage, count in enumerate((3, 4, 6, 3)):
            outputs = 4 * width * 2**stage
            for index in range(count):
                stride = 2 if stage and not index else 1
                self.blocks.append(Bottleneck(inputs, outputs, stride, first=not (stage or index)))
                inputs = outputs
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.classifier = nn.Linear(inputs, num_classes)
        around = [n for n, m in self.blocks.named_modules() if isinstance(m, nn.Conv2d) and ".shortcut" in n]
        self.real_layers = ("conv", "blocks.0.conv1", *[f"blocks.{name}" for name in around], "classifier")

    def forward(self, x: Tensor) -> Tensor:
        """Logits of a batch of images."""
        narrow = x = self.stem_pool(self.bn(self.conv(x)))
        for block in self.blocks:
            narrow, x = block(narrow, x)
        return self.classifier(self.flatten(self.pool(x)))


def resnet50(
    num_classes: int = 1000, in_channels: int = 3, width: int = 64, stem: Literal["small", "large"] = "large"
) -> BottleneckNet:
    """ResNet-50: a stem, four stages of 3, 4, 6 and 3 bottlenecks, 256 to 2048 channels.

    Args:
        num_classes: outputs.
        in_channels: of the image.
        width: channels of the stem; the first stage has four times as many, each later one twice those before.
        stem: "large" is a 7x7 convolution of stride 2 and a 3x3 max-pool of stride 2, for images of about 224x224;
            "small" a 3x3 convolution, for images of about 32x32.

    Shape:
        x (N, in_channels, H, W), result (N, num_classes); sides are multiples of 32, of 8 behind the small stem.

    Raises:
        ValueError: stem is none of its choices.
    """
    return BottleneckNet(num_classes, in_channels, width, stem)
