"""The block of CIFAR's ResNet-20 in several authors' code: a shortcut around each of two convolutions."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn


class TwoShortcuts(nn.Module):
    """act2(bn2(conv2(y)) + y) with y = act1(bn1(conv1(x)) + shortcut(x)), to twice the channels at half the size.

    Args:
        act: makes act1 and act2, for 2 * inputs channels.
        pooled: whether the shortcut takes means of 2x2 pixels, not every other pixel; zeros make up the channels.
        inputs: channels of x.
    """

    def __init__(self, act: Callable[[], nn.Module], pooled: bool, inputs: int = 8) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, 2 * inputs, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(2 * inputs)
        self.act1 = act()
        self.conv2 = nn.Conv2d(2 * inputs, 2 * inputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(2 * inputs)
        self.act2 = act()
        self.pooled = pooled
        self.beside = inputs // 2

    def forward(self, x: Tensor) -> Tensor:
        around = F.avg_pool2d(x, 2) if self.pooled else x[:, :, ::2, ::2]
        y = self.act1(self.bn1(self.conv1(x)) + F.pad(around, (0, 0, 0, 0, self.beside, self.beside)))
        return self.act2(self.bn2(self.conv2(y)) + y)
