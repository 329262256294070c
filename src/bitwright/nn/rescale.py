"""Corrections of a binary layer's output y by its real input x: modules of (x, y), for `Method.rescale`."""

from typing import Literal

import torch
from torch import Tensor, nn

from bitwright.nn.resize import MatchSize
from bitwright.nn.shapes import per_output


class Gate(nn.Module):
    """y * scale * G(x) per output channel, with G(x) = sigmoid(W2 relu(W1 mean(x))), the mean over all pixels.

    The scale starts at the filter's mean(abs(w)), so that the layer starts at half the size of its real twin.

    Shape:
        x (N, C, H, W), y (N, out, H', W'); for a linear layer x (..., C), y (..., out), and x is its own mean.

    Args:
        layer: nn.Conv2d or nn.Linear, whose output is corrected.
        reduction: W1 is (C / reduction, C), W2 (out, C / reduction).

    Reference: Martinez et al., "Training Binary Neural Networks with Real-to-Binary Convolutions", ICLR 2020.
    """

    def __init__(self, layer: nn.Module, reduction: int = 8) -> None:
        super().__init__()
        weight = layer.get_parameter("weight")
        self.maps = isinstance(layer, nn.Conv2d)
        inputs = layer.in_channels if isinstance(layer, nn.Conv2d) else weight.shape[1]
        hidden = max(inputs // reduction, 1)
        self.squeeze = nn.Linear(inputs, hidden, bias=False)
        self.excite = nn.Linear(hidden, len(weight), bias=False)
        self.scale = nn.Parameter(weight.detach().flatten(1).abs().mean(1))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Correct y."""
        mean = x.mean((-2, -1)) if self.maps else x
        factor = self.excite(self.squeeze(mean).relu()).sigmoid() * self.scale  # (N, out)
        return y * (factor.view(*factor.shape, 1, 1) if self.maps else factor)


class ElasticLink(nn.Module):
    """gamma * y + T(x): the real input, resized by `MatchSize`, joins the output.

    With `normalize` a batch norm of the link's own takes the place of gamma: y' = bn(y) + T(x).

    Shape:
        x (N, C, H, W), y (N, out, H', W'); for a linear layer x (N, C), y (N, out).

    Args:
        layer: nn.Conv2d or nn.Linear, whose output is corrected.
        gamma: one number a "channel", or one for the whole "layer"; they start at 1.
        normalize: see above.
        squeeze: see `MatchSize`.

    Reference: Hu et al., "Elastic-Link for Binarized Neural Networks", AAAI 2022; a reconstruction.
    """

    def __init__(
        self,
        layer: nn.Module,
        gamma: Literal["channel", "layer"] = "channel",
        normalize: bool = False,
        squeeze: Literal["sum", "mean"] = "sum",
    ) -> None:
        super().__init__()
        self.match = MatchSize(layer, squeeze)
        shape = per_output(layer)
        norm = nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d
        self.norm = norm(shape[0]) if normalize else nn.Identity()
        self.gamma = None if normalize else nn.Parameter(torch.ones(shape if gamma == "channel" else ()))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Correct y."""
        return (self.norm(y) if self.gamma is None else y * self.gamma) + self.match(x)
