"""Real-valued non-linearities between binary layers, each with parameters per channel (axis 1)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


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
    ECCV 2020, equation 5.
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


class FPReLU(nn.Module):
    """y = positive * x where x > 0, else negative * x, per channel, both slopes learned; a fully parametric ReLU.

    Equal slopes make it linear; (1, 0) is ReLU. They start at 1 and 0.25.

    Shape:
        x (N, channels, ...), y the same.

    Args:
        channels: how many channels x has.

    Reference: Su et al., "FTBNN: Rethinking Non-linearity for 1-bit CNNs and Going Beyond", preprint, 2020; the initial
    slopes are a reconstruction.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.positive = nn.Parameter(torch.ones(channels))
        self.negative = nn.Parameter(torch.full((channels,), 0.25))

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to x."""
        return x.relu() * by_channel(self.positive, x) + x.clamp(max=0) * by_channel(self.negative, x)

    def extra_repr(self) -> str:
        """How many channels."""
        return f"{len(self.positive)}"
