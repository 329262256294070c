"""AlexNet in the layout of XNOR-Net: batch norm in front of every binary convolution, pooling behind it.

Reference: Krizhevsky et al., "ImageNet Classification with Deep Convolutional Neural Networks", NeurIPS 2012; Rastegari
et al., "XNOR-Net", ECCV 2016, section 3.2 for the order, and the authors' code for the sizes (no groups).
"""

from torch import Tensor, nn


def _pooled(side: int) -> int:
    return (side - 3) // 2 + 1


class AlexNet(nn.Module):
    """The network that `alexnet` builds. Shape: x (N, in_channels, size, size), result (N, num_classes).

    `real_layers` names the first convolution and the last linear layer; the two before are convolutions, as published.
    """

    def __init__(self, num_classes: int, in_channels: int, width: int, hidden: int, size: int) -> None:
        super().__init__()
        side = _pooled(_pooled(_pooled((size + 4 - 11) // 4 + 1)))
        if side < 1:
            raise ValueError(f"size: expected at least 63 pixels, for a stride of 4 and three pools, found {size}")
        small, large = width * 8 // 3, width * 4
        # outputs, kernel, padding, whether a pool follows
        shapes = [(small, 5, 2, True), (large, 3, 1, False), (large, 3, 1, False), (small, 3, 1, True)]
        shapes += [(hidden, side, 0, False), (hidden, 1, 0, False)]
        layers: list[nn.Module] = [
            nn.Conv2d(in_channels, width, 11, 4, padding=2), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(3, 2)
        ]  # fmt: skip
        inputs = width
        for outputs, kernel, padding, pooled in shapes:
            layers += [
                nn.BatchNorm2d(inputs, eps=1e-4),
                nn.Conv2d(inputs, outputs, kernel, padding=padding, bias=False),
                *([nn.MaxPool2d(3, 2)] if pooled else []),
            ]
            inputs = outputs
        self.features = nn.Sequential(*layers, nn.BatchNorm2d(hidden, eps=1e-3), nn.ReLU())
        self.flatten = nn.Flatten()
        self.classifier = nn.Linear(hidden, num_classes)
        self.real_layers = ("features.0", "classifier")

    def forward(self, x: Tensor) -> Tensor:
        """Logits of a batch of images."""
        return self.classifier(self.flatten(self.features(x)))


def alexnet(
    num_classes: int = 1000, in_channels: int = 3, width: int = 96, hidden: int = 4096, size: int = 224
) -> AlexNet:
    """AlexNet: five convolutions and three layers of a single pixel; [BN, conv] in between, three max-pools of 3x3.

    With the defaults 58,236,928 weights are binary.

    Args:
        num_classes: outputs.
        in_channels: of the image.
        width: channels of the first convolution, a multiple of 3; the others have 8/3 and 4 times as many.
        hidden: outputs of the two layers before the last.
        size: side of the square images, in pixels.

    Shape:
        x (N, in_channels, size, size), result (N, num_classes).

    Raises:
        ValueError: size is less than 63.
    """
    return AlexNet(num_classes, in_channels, width, hidden, size)
