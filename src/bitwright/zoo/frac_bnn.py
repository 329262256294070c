"""The networks of FracBNN: thermometer-coded pixels, shortcuts without weights, and a batch norm behind every sum.

All convolutions are binary, the first one too. Precision gates and the second bit of activations are the method's.

Reference: Zhang et al., "FracBNN: Accurate and FPGA-Efficient Binary Neural Networks with Fractional Activations",
FPGA 2021, and the authors' code.
"""

from collections.abc import Sequence
from types import MappingProxyType

from torch import Tensor, nn

from bitwright.core.binarizers import Sign
from bitwright.nn.activations import RPReLU
from bitwright.nn.blocks import PooledCopies
from bitwright.nn.quantize import Quantize
from bitwright.nn.thermometer import Thermometer
from bitwright.zoo.reactnet import mobile_stages


class FracBlock(nn.Module):
    """bn_out(act(bn(conv(x))) + shortcut(x)) with RPReLU; the shortcut quantizes, pools and repeats channels.

    Shape:
        x (N, inputs, H, W), result (N, outputs, H/stride, W/stride).

    Args:
        inputs: Channels of x.
        outputs: The same, or twice as many.
        kernel: Side of the convolution's kernel, 3 or 1.
        stride: 1, or 2 with average pooling around.
        shortcut_bits: What the shortcut's values are quantized to; None leaves them real.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, shortcut_bits: int | None = None) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs)
        self.act = RPReLU(outputs)
        self.shortcut = nn.Sequential(
            nn.Identity() if shortcut_bits is None else Quantize(shortcut_bits),
            PooledCopies(outputs, stride),
        )
        self.bn_out = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Run the block."""
        return self.bn_out(self.act(self.bn(self.conv(x))) + self.shortcut(x))


class FracNet(nn.Module):
    """The network that the functions below build. Shape: x (N, in_channels, H, W) from 0 to 1, result (N, num_classes).

    The linear layer is real; `input_binarizers` has the first convolution take the codes as they are.

    Args:
        in_channels: Of the image.
        resolution: Of the thermometer.
        width: Outputs of the first convolution.
        stride: Of the first convolution.
        blocks: What follows.
        features: Channels of their result.
        num_classes: Outputs.
    """

    real_layers = ("classifier",)
    input_binarizers = MappingProxyType({"conv": Sign})

    def __init__(
        self,
        in_channels: int,
        resolution: int,
        width: int,
        stride: int,
        blocks: Sequence[FracBlock],
        features: int,
        num_classes: int,
    ) -> None:
        super().__init__()
        self.thermometer = Thermometer(resolution)
        self.conv = nn.Conv2d(in_channels * round(255 / resolution), width, 3, stride, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(width)
        self.blocks = nn.Sequential(*blocks)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.classifier = nn.Linear(features, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of a batch of images."""
        x = self.blocks(self.bn(self.conv(self.thermometer(x))))
        return self.classifier(self.flatten(self.pool(x)))


def frac_bnn_resnet20(
    num_classes: int = 10,
    in_channels: int = 3,
    width: int = 16,
    resolution: int = 8,
    shortcut_bits: int | None = None,
) -> FracNet:
    """FracBNN's ResNet-20 for images of about 32x32: three stages of six convolutions, 16 to 64 channels.

    With the defaults all 281,088 weights of convolutions are binary.

    Args:
        num_classes: outputs.
        in_channels: of the image.
        width: channels of the first stage.
        resolution: grey levels, of 255, for each code of the thermometer.
        shortcut_bits: what shortcuts are quantized to; None leaves them real, as published.

    Shape:
        x (N, in_channels, H, W) from 0 to 1, sides that are multiples of 4; result (N, num_classes).
    """
    blocks = []
    inputs = width
    for outputs in (width, 2 * width, 4 * width):
        for index in range(6):
            blocks.append(FracBlock(inputs, outputs, 3, 2 if outputs > width and not index else 1, shortcut_bits))
            inputs = outputs
    return FracNet(in_channels, resolution, width, 1, blocks, inputs, num_classes)


def frac_bnn_mobilenet(
    num_classes: int = 1000,
    in_channels: int = 3,
    width: int = 32,
    resolution: int = 8,
    shortcut_bits: int | None = 4,
) -> FracNet:
    """FracBNN's network for images of about 224x224: MobileNet's layout as in ReActNet-A, 32 to 1024 channels.

    With the defaults all 28,280,832 weights of convolutions are binary.

    Args:
        num_classes: outputs.
        in_channels: of the image.
        width: channels of the first convolution, which has stride 2.
        resolution: grey levels, of 255, for each code of the thermometer.
        shortcut_bits: what shortcuts are quantized to, as published to 4 bits; None leaves them real.

    Shape:
        x (N, in_channels, H, W) from 0 to 1, sides that are multiples of 32; result (N, num_classes).
    """
    blocks = []
    for inputs, outputs, stride in mobile_stages(width):
        blocks.append(FracBlock(inputs, inputs, 3, stride, shortcut_bits))
        blocks.append(FracBlock(inputs, outputs, 1, 1, shortcut_bits))
    return FracNet(in_channels, resolution, width, 2, blocks, 32 * width, num_classes)
