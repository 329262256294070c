"""VGG-Small: six convolutions of 3x3, three max-pools and one linear layer.

Reference: the convolutions are those of Courbariaux et al., "BinaryConnect", NeurIPS 2015; the single linear layer and
hardtanh are those of later work, such as Qin et al., "Forward and Backward Information Retention", CVPR 2020.
"""

from torch import Tensor, nn


class VGGSmall(nn.Module):
    """The network that `vgg_small` builds. Shape: x (N, in_channels, H, W), result (N, num_classes).

    The head is made for inputs of 8 times `cells` pixels a side.
    """

    real_layers = ("features.0", "classifier")

    def __init__(self, num_classes: int, in_channels: int, width: int, size: int) -> None:
        super().__init__()
        widths = [width, width, 2 * width, 2 * width, 4 * width, 4 * width]
        layers: list[nn.Module] = []
        for index, out in enumerate(widths):
            layers.append(nn.Conv2d(widths[index - 1] if index else in_channels, out, 3, padding=1, bias=False))
            if index % 2:
                layers.append(nn.MaxPool2d(2))
            layers += [nn.BatchNorm2d(out), nn.Hardtanh()]
        self.features = nn.Sequential(*layers)
        self.flatten = nn.Flatten()
        self.classifier = nn.Linear(4 * width * (size // 8) ** 2, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of a batch of images."""
        return self.classifier(self.flatten(self.features(x)))


def vgg_small(num_classes: int = 10, in_channels: int = 3, width: int = 128, size: int = 32) -> VGGSmall:
    """VGG-Small: w-w-MP-2w-2w-MP-4w-4w-MP-FC of 3x3 convolutions, each followed by (pool,) batch norm and hardtanh.

    With the defaults 4.57 million weights are binary. The first convolution and the linear layer stay real.

    Args:
        num_classes: outputs.
        in_channels: of the image.
        width: channels of the first convolution.
        size: side of the square images, in pixels.

    Shape:
        x (N, in_channels, size, size), result (N, num_classes).

    Raises:
        ValueError: size is less than 8.
    """
    if size < 8:
        raise ValueError(f"size: expected at least 8 pixels, for three pools by 2, found {size}")
    return VGGSmall(num_classes, in_channels, width, size)
