"""Real-valued non-linearities between binary layers."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NOTHING = 1e-30  # in the place of a slope of 0, by which nothing can be divided


class Maxout(nn.Module):
    """Two slopes a channel: pos_scale * relu(x) - neg_scale * relu(-x), both learned.

    In `eval()` it is computed as pos_scale * prelu(x, neg_scale / pos_scale), two operations of the packed network.

    Shape:
        x and y (N, C, ...).

    Args:
        channels: C.
        pos_scale: first slope where x > 0.
        neg_scale: first slope where x < 0.

    Reference: Tu et al., "AdaBin: Improving Binary Neural Networks with Adaptive Binary Sets", ECCV 2022.
    """

    def __init__(self, channels: int, pos_scale: float = 1.0, neg_scale: float = 0.25) -> None:
        super().__init__()
        self.pos_scale = nn.Parameter(torch.full((channels,), pos_scale))
        self.neg_scale = nn.Parameter(torch.full((channels,), neg_scale))

    def forward(self, x: Tensor) -> Tensor:
        """Bend x at 0."""
        shape = (-1, *[1] * (x.dim() - 2))
        p, n = self.pos_scale, self.neg_scale
        if self.training:
            return p.view(shape) * F.relu(x) - n.view(shape) * F.relu(-x)
        p = p.where(p.abs() > NOTHING, NOTHING)
        return p.view(shape) * F.prelu(x, n / p)

    def extra_repr(self) -> str:
        """The number of channels."""
        return f"{len(self.pos_scale)}"
