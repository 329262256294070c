"""VGG networks for small images: six convolutions of 3x3, three max-pools, and one linear layer or three.

Reference: Courbariaux et al., "BinaryConnect", NeurIPS 2015, and Hubara et al., "Binarized Neural Networks", NeurIPS
2016, for the layers; the single linear layer and hardtanh are those of later work, such as Qin et al., "Forward and
Backward Information Retention", CVPR 2020.
"""

from types import MappingProxyType

from torch import Tensor, nn

from bitwright.zoo.blocks import Nonlinearity, make_nonlinearity


def _features(in_channels: int, width: int, nonlinearity: Nonlinearity, eps: float) -> nn.Sequential:
    """The convolutions, each followed by (pool,) batch norm and the non-linearity."""
    widths = [width, width, 2 * width, 2 * width, 4 * width, 4 * width]
    layers: list[nn.Module] = []
    for index, out in enumerate(widths):
        layers.append(nn.Conv2d(widths[index - 1] if index else in_channels, out, 3, padding=1, bias=False))
        if index % 2:
            layers.append(nn.MaxPool2d(2))
        layers += [nn.BatchNorm2d(out, eps=eps), make_nonlinearity(nonlinearity, out)]
    return nn.Sequential(*layers)


def _inputs_of_head(width: int, size: int) -> int:
    if size < 8:
        raise ValueError(f"size: expected at least 8 pixels, for three pools by 2, found {size}")
    return 4 * width * (size // 8) ** 2


class VGGSmall(nn.Module):
    """The network that `vgg_small` builds. Shape: x (N, in_channels, size, size), result (N, num_classes)."""

    real_layers = ("features.0", "classifier")

    def __init__(self, num_classes: int, in_channels: int, width: int, size: int, nonlinearity: Nonlinearity) -> None:
        super().__init__()
        self.features = _features(in_channels, width, nonlinearity, eps=1e-5)
        self.flatten = nn.Flatten()
        self.classifier = nn.Linear(_inputs_of_head(width, size), num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of a batch of images."""
        return self.classifier(self.flatten(self.features(x)))


class BNNVGG(nn.Module):
    """The network that `bnn_vgg` builds. Shape: x (N, in_channels, size, size), result (N, num_classes).

    No layer is real; `input_binarizers` has the first convolution take the image as it is.
    """

    real_layers = ()
    input_binarizers = MappingProxyType({"features.0": nn.Identity})

    def __init__(
        self, num_classes: int, in_channels: int, width: int, hidden: int, size: int, nonlinearity: Nonlinearity
    ) -> None:
        super().__init__()
        self.features = _features(in_channels, width, nonlinearity, eps=1e-4)
        self.flatten = nn.Flatten()
        layers: list[nn.Module] = []
        inputs = _inputs_of_head(width, size)
        for outputs in (hidden, hidden):
            norm = nn.BatchNorm1d(outputs, eps=1e-4)
            layers += [nn.Linear(inputs, outputs, bias=False), norm, make_nonlinearity(nonlinearity, outputs)]
            inputs = outputs
        layers += [nn.Linear(inputs, num_classes, bias=False), nn.BatchNorm1d(num_classes, eps=1e-4)]
        self.classifier = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of a batch of images."""
        return self.classifier(self.flatten(self.features(x)))


def vgg_small(
    num_classes: int = 10,
    in_channels: int = 3,
    width: int = 128,
    size: int = 32,
    nonlinearity: Nonlinearity = "hardtanh",
) -> VGGSmall:
    """VGG-Small: w-w-MP-2w-2w-MP-4w-4w-MP-FC of 3x3 convolutions, each with (pool,) batch norm and non-linearity.

    With the defaults 4.57 million weights are binary. The first convolution and the linear layer stay real.

    Args:
        num_classes: outputs.
        in_channels: of the image.
        width: channels of the first convolution.
        size: side of the square images, in pixels.
        nonlinearity: as for `resnet18`.

    Shape:
        x (N, in_channels, size, size), result (N, num_classes).

    Raises:
        ValueError: size is less than 8, or there is no such non-linearity.
    """
    return VGGSmall(num_classes, in_channels, width, size, nonlinearity)


def bnn_vgg(
    num_classes: int = 10,
    in_channels: int = 3,
    width: int = 128,
    hidden: int = 1024,
    size: int = 32,
    nonlinearity: Nonlinearity = "hardtanh",
) -> BNNVGG:
    """The network of BNN: w-w-MP-2w-2w-MP-4w-4w-MP-FC-FC-FC, all layers binary, with a batch norm behind the last too.

    With the defaults 14,022,016 weights are binary; the first convolution multiplies them with the real image.

    Args:
        num_classes: outputs.
        in_channels: of the image.
        width: channels of the first convolution.
        hidden: outputs of the first two linear layers.
        size: side of the square images, in pixels.
        nonlinearity: as for `resnet18`; BinaryConnect has "relu" here.

    Shape:
        x (N, in_channels, size, size), result (N, num_classes).

    Raises:
        ValueError: size is less than 8, or there is no such non-linearity.
    """
    return BNNVGG(num_classes, in_channels, width, hidden, size, nonlinearity)
