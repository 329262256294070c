"""Narrow: filters that were pruned as a whole leave their layers, before export."""

from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bitwright.core.masked import Masked, Ternary
from bitwright.nn.layers import BinaryConv2d, BinaryLinear

M = TypeVar("M", bound=nn.Module)


class Fixed(nn.Module, Ternary):
    """A weight that is binarized already: its levels, and zeros where it is pruned.

    Shape:
        w (out, ...), unchanged.

    Args:
        high: true where a weight is at its high level.
        ternary: whether there are zeros.
    """

    high: Tensor

    def __init__(self, high: Tensor, ternary: bool) -> None:
        super().__init__()
        self.ternary = ternary
        self.register_buffer("high", high)

    def forward(self, w: Tensor) -> Tensor:
        """The same."""
        return w

    def planes(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """The weights at the high level, and the others."""
        return torch.where(self.high, w, 0.0), torch.where(self.high, 0.0, w)


class Spread(nn.Module):
    """Puts the outputs of the filters that are left in their old places, with 0 in those of removed ones.

    Then follow the layer's bias and rescaling, which see all channels as before.

    Shape:
        y (N, left, ...) to (N, out, ...), or (..., left) to (..., out) of a linear layer.

    Args:
        kept: which filters are left.
        bias: (out,), the layer's, or None.
        rescale: the layer's, or None.
        channels: the axis of channels, 1 or -1.
    """

    places: Tensor
    bias: Tensor | None

    def __init__(self, kept: Tensor, bias: Tensor | None, rescale: nn.Module | None, channels: int) -> None:
        super().__init__()
        count = int(kept.sum())
        places = torch.where(kept, kept.cumsum(0) - 1, count)  # removed ones take the zero channel behind the others
        self.register_buffer("places", places)
        self.register_buffer("bias", None if bias is None else bias.detach().clone())
        self.rescale = rescale
        self.channels = channels

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Spread y."""
        y = F.pad(y, (0, 0, 0, 0, 0, 1) if self.channels == 1 else (0, 1)).index_select(self.channels, self.places)
        if self.bias is not None:
            y = y + (self.bias.view(-1, 1, 1) if self.channels == 1 else self.bias)
        return y if self.rescale is None else self.rescale(x, y)


@torch.no_grad()
def narrow(net: M) -> M:
    """Remove filters that are pruned to zero as a whole from their layers, in place, for good: before export.

    The layers then hold and compute the other filters only; outputs stay equal. Their weights are fixed at what they
    are binarized to, so this ends training; the network goes to eval mode. Grouped convolutions stay as they are, and
    a layer keeps one filter at least.

    The channels themselves stay, as constants: what follows a layer, a shortcut's sum or a padded convolution, has use
    for them.

    Args:
        net: the network; its pruned binary layers have the fill "zero".

    Returns:
        The same network.

    Raises:
        ValueError: a layer's pruned weights are at a level, whose filters answer to the input and cannot be removed.
    """
    for name, layer in net.named_modules():
        masked = getattr(layer, "weight_binarizer", None)
        if not isinstance(layer, BinaryConv2d | BinaryLinear) or not isinstance(masked, Masked):
            continue
        kept = masked.mask.flatten(1).any(1)
        if bool(kept.all()) or getattr(layer, "groups", 1) != 1:
            continue
        if masked.fill != "zero":
            raise ValueError(
                f"{name}: filters pruned with fill {masked.fill!r} still answer to the input; prune with fill='zero'"
            )
        kept[0] |= not bool(kept.any())
        _narrow_layer(layer, masked.eval(), kept)
    return net.eval()


def _narrow_layer(layer: BinaryConv2d | BinaryLinear, masked: Masked, kept: Tensor) -> None:
    high, low = (plane[kept] for plane in masked.planes(layer.weight))
    channels = 1 if isinstance(layer, nn.Conv2d) else -1
    layer.rescale = Spread(kept, layer.bias, layer.rescale, channels)
    layer.bias = None
    layer.weight = nn.Parameter(high + low, requires_grad=False)
    layer.weight_binarizer = Fixed(high != 0, bool((high + low == 0).any()))
    if isinstance(layer, nn.Conv2d):
        layer.out_channels = len(layer.weight)
    else:
        layer.out_features = len(layer.weight)
