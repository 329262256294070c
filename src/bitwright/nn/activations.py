"""Real-valued non-linearities between binary layers, each with parameters per channel (axis 1)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NOTHING = 1e-30  # in the place of a slope of 0, by which nothing can be divided


def by_channel(values: Tensor, x: Tensor) -> Tensor:
    """One value for each channel, shaped to broadcast along the axis 1 of x.

    Shape:
        values (C,), x (N, C, ...), result (C, 1, ...).
    """
    return values.view(-1, *[1] * (x.dim() - 2))


class RPReLU(nn.Module):
    """y = prelu(x + shift_in) + shift_out, per channel; prelu(u) = u where u > 0, else slope * u.

    In the letters of the paper gamma = -shift_in, beta = slope and zeta = shift_out.

    Shape:
        x (N, channels, ...), y the same.

    Args:
        channels: how many channels x has.

    Reference: Liu et al., "ReActNet: Towards Precise Binary Neural Network with Generalized Activation Functions",
    ECCV 2020.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.shift_in = nn.Parameter(torch.zeros(channels))
        self.slope = nn.Parameter(torch.full((channels,), 0.25))
        self.shift_out = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to x."""
        return F.prelu(x + by_channel(self.shift_in, x), self.slope) + by_channel(self.shift_out, x)

    def extra_repr(self) -> str:
        """How many channels."""
        return f"{len(self.slope)}"


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
        p, n = self.pos_scale, self.neg_scale
        if self.training:
            return by_channel(p, x) * F.relu(x) - by_channel(n, x) * F.relu(-x)
        p = p.where(p.abs() > NOTHING, NOTHING)
        return by_channel(p, x) * F.prelu(x, n / p)

    def extra_repr(self) -> str:
        """The number of channels."""
        return f"{len(self.pos_scale)}"


class FPReLU(Maxout):
    """FTBNN's fully parametric ReLU, which is Maxout: a slope of its own on either side of 0.

    Equal slopes make it linear, which is what the paper warns of; (1, 0) is ReLU.

    Reference: Su et al., "FTBNN: Rethinking Non-linearity for 1-bit CNNs and Going Beyond", preprint, 2020; the initial
    slopes are a reconstruction.
    """
