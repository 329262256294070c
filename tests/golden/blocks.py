"""The block of CIFAR's ResNet-20 in several authors' code: a shortcut around each of two convolutions."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn


class TwoShortcuts(nn.Module):
    """act2(bn2(conv2(y)) + y) with y = act1(bn1(conv1(x)) + shortcut(x)), from 8 channels to 16 at half the size.

    Args:
        act: makes act1 and act2, for 16 channels.
        pooled: whether the shortcut takes means of 2x2 pixels, not every other pixel; zeros make up the channels.
    """

    def __init__(self, act: Callable[[], nn.Module], pooled: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(8, 16, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.act1 = act()
        self.conv2 = nn.Conv2d(16, 16, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(16)
        self.act2 = act()
        self.pooled = pooled

    def forward(self, x: Tensor) -> Tensor:
        around = F.pad(F.avg_pool2d(x, 2) if self.pooled else x[:, :, ::2, ::2], (0, 0, 0, 0, 4, 4))
        y = self.act1(self.bn1(self.conv1(x)) + around)
        return self.act2(self.bn2(self.conv2(y)) + y)
