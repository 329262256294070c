"""ReActNet: RPReLU behind every sum, on the layout of MobileNet (ReActNet-A) or of ResNet-18.

The thresholds of its signs (RSign) are the method's, `bw.methods.react_net()`.

Reference: Liu et al., "ReActNet: Towards Precise Binary Neural Network with Generalized Activation Functions",
ECCV 2020, figure 5 for the blocks.
"""

from torch import Tensor, nn

from bitwright.nn.blocks import PooledCopies
from bitwright.zoo.blocks import Nonlinearity, make_nonlinearity
from bitwright.zoo.resnet import ResNet, resnet18


def mobile_stages(width: int) -> list[tuple[int, int, int]]:
    """Input channels, output channels and stride of the thirteen blocks of MobileNet, behind a stem of this width."""
    outputs = [width * times for times in (2, 4, 4, 8, 8, 16, 16, 16, 16, 16, 16, 32, 32)]
    inputs = [width, *outputs[:-1]]
    return [(i, o, 2 if o > i > width else 1) for i, o in zip(inputs, outputs, strict=True)]


class ReActBlock(nn.Module):
    """A 3x3 convolution that keeps the channels and a 1x1 one that may change them, each with its own shortcut.

    h = act1(bn1(conv1(x)) + pooled(x));  y = act2(bn2(conv2(h)) + h), or + (h, h) where the channels double

    The paper draws a doubling as two parallel 1x1 convolutions of the same input, joined. They are one convolution with
    twice the filters, as filters, their scales and batch norms know nothing of each other.

    Shape:
        x (N, inputs, H, W), y (N, outputs, H/s, W/s).

    Args:
        inputs: Channels of x.
        outputs: Those of h are repeated for more, and the first of them kept for fewer, see `PooledCopies`.
        stride: 1, or 2 with average pooling around the first convolution.
        nonlinearity: Of both sums.
        kernel: Side of the first convolution's kernel, odd.
        groups: Of the first convolution.
    """

    def __init__(
        self, inputs: int, outputs: int, stride: int, nonlinearity: Nonlinearity, kernel: int = 3, groups: int = 1
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, inputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn1 = nn.BatchNorm2d(inputs)
        self.shortcut1 = PooledCopies(inputs, stride)
        self.act1 = make_nonlinearity(nonlinearity, inputs)
        self.conv2 = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut2 = PooledCopies(outputs, 1)
        self.act2 = make_nonlinearity(nonlinearity, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Run the block."""
        h = self.act1(self.bn1(self.conv1(x)) + self.shortcut1(x))
        return self.act2(self.bn2(self.conv2(h)) + self.shortcut2(h))


class ReActNet(nn.Module):
    """The network that `reactnet_a` builds. Shape: x (N, in_channels, H, W), result (N, num_classes).

    `real_layers` names the first convolution and the linear layer.
    """

    real_layers = ("conv", "classifier")

    def __init__(self, num_classes: int, in_channels: int, width: int, nonlinearity: Nonlinearity) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, width, 3, 2, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(width)
        self.blocks = nn.Sequential(*[ReActBlock(*stage, nonlinearity) for stage in mobile_stages(width)])
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.classifier = nn.Linear(32 * width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of a batch of images."""
        return self.classifier(self.flatten(self.pool(self.blocks(self.bn(self.conv(x))))))


def reactnet_a(
    num_classes: int = 1000, in_channels: int = 3, width: int = 32, nonlinearity: Nonlinearity = "rprelu"
) -> ReActNet:
    """ReActNet-A for images of about 224x224: a 3x3 stem of stride 2 and thirteen blocks, 32 to 1024 channels.

    With the defaults 28,253,184 weights are binary.

    Args:
        num_classes: outputs.
        in_channels: of the image.
        width: channels of the stem.
        nonlinearity: after each sum, as in `resnet18`.

    Shape:
        x (N, in_channels, H, W), sides that are multiples of 32; result (N, num_classes).

    Raises:
        ValueError: the nonlinearity has an unknown name.
    """
    return ReActNet(num_classes, in_channels, width, nonlinearity)


def reactnet18(num_classes: int = 1000, in_channels: int = 3, width: int = 64) -> ResNet:
    """ReActNet-18 for images of about 224x224: `resnet18` as in Bi-Real Net, with RPReLU after each sum.

    Args:
        num_classes: outputs.
        in_channels: of the image.
        width: channels of the first stage.

    Shape:
        x (N, in_channels, H, W), sides that are multiples of 32; result (N, num_classes).
    """
    return resnet18(
        num_classes, in_channels, width, shortcut_every=1, nonlinearity="rprelu", stem="large",
        stem_nonlinearity="identity", head="plain",
    )  # fmt: skip
