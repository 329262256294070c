"""SD-BNN: no scale factors; shifts that depend on the sample, for activations, and on the filter, for weights.

Scale factors cost real arithmetic and change no sign. Here the values are shifted before the sign instead: each
channel of each sample by a small network of its means (ASD), each filter by a share of its mean (WSD).

Deployed: one bit a weight and no real factor at all: WSD is gone, its bits remain. ASD stays: channel means, two small
linear layers of 2*C*C/r multiplications and a threshold for each channel of each sample, so two passes over the input.

Checked: numbers of the authors' code, which has the factor 0.01 and no gradient through the filter's mean.

Reference: Xue, Lu, Chang, Wei and Wei, "Self-Distribution Binary Neural Networks", Applied Intelligence 2022
(arXiv 2103.02394).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bitwright.core.binarizers import ErrorDecay, Sign
from bitwright.core.estimators import approx_sign, ste
from bitwright.core.method import Method
from bitwright.nn.shapes import per_input


class DynamicShift(nn.Module):
    """ASD: sign(x + beta), beta = sigmoid(expand(relu(reduce(mean of x over its pixels)))), one a sample and channel.

    beta lies between 0 and 1, so more values become +1. The gradient reaches x directly and through beta.

    Shape:
        x (..., C, H, W) before a convolution, (..., F) before a linear layer, unchanged; reduce (hidden, C) and
        expand (C, hidden) with hidden = max(1, C // reduction).

    Args:
        layer: whose input it binarizes.
        sign: binarizer of the shifted values.
        reduction: how many times narrower the hidden layer is, at least 1.
    """

    def __init__(self, layer: nn.Module, sign: nn.Module, reduction: int = 16) -> None:
        super().__init__()
        channels, *pixels = per_input(layer)
        hidden = max(1, channels // reduction)
        self.pixels = tuple(range(-len(pixels), 0))
        self.reduce = nn.Parameter(torch.empty(hidden, channels))
        self.expand = nn.Parameter(torch.empty(channels, hidden))
        for weight in (self.reduce, self.expand):
            nn.init.kaiming_normal_(weight)
        self.sign = sign

    def forward(self, x: Tensor) -> Tensor:
        """Binarize x."""
        means = x.mean(self.pixels) if self.pixels else x
        beta = F.linear(F.linear(means, self.reduce).relu(), self.expand).sigmoid()
        return self.sign(x + beta[(..., *[None] * len(self.pixels))])

    def extra_repr(self) -> str:
        """The widths of the small network."""
        return f"{self.reduce.shape[1]} -> {self.reduce.shape[0]} -> {self.expand.shape[0]}"


class ShiftedWeight(nn.Module):
    """WSD: sign(w + sigmoid(alpha) * 0.01 * mean(w)) with a learned alpha per filter, initially 0.

    The mean is a constant to the gradient. Only weights within 0.01 * abs(mean) of zero can change their sign.

    Shape:
        w (out, ...), unchanged; alpha (out,).

    Args:
        filters: out.
        sign: binarizer of the shifted weights.
    """

    def __init__(self, filters: int, sign: nn.Module) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(filters))
        self.sign = sign

    def forward(self, w: Tensor) -> Tensor:
        """Binarize w."""
        mean = w.detach().mean(tuple(range(1, w.dim())), keepdim=True)
        return self.sign(w + self.alpha.sigmoid().view(mean.shape) * (0.01 * mean))


@dataclass(frozen=True)
class _Setup:
    """What the published code does for one data set."""

    weight_sign: Callable[[float], nn.Module]
    input_sign: Callable[[float], nn.Module]
    reduction: int


_SETUPS = {
    "cifar10": _Setup(ErrorDecay, ErrorDecay, 16),
    "imagenet": _Setup(lambda t_min: Sign(ste), lambda t_min: Sign(approx_sign), 8),
}


def sd_bnn(
    setup: Literal["cifar10", "imagenet"] = "cifar10", *, t_min: float = 1e-3, reduction: int | None = None
) -> Method:
    """Weights sign(w + shift of WSD), activations sign(x + shift of ASD), nothing scaled.

    The shifts' weights are new Parameters: make the optimizer after `binarize`.

    Args:
        setup: the published one. "cifar10": EDE for both, which needs `bw.set_progress`; "imagenet": ste for weights,
            approx_sign for activations; there the weights are published to come from a network trained with binary
            activations only.
        t_min: where EDE starts, of "cifar10": 0.001 as published for ResNet, 0.1 for VGG-Small.
        reduction: how many times narrower ASD's hidden layer is than its input; None takes the published 16
            ("imagenet": 8). At least one hidden unit remains.

    Raises:
        ValueError: an argument lies outside its range.

    Reference: Xue et al., arXiv 2103.02394, and the authors' code.
    """
    if setup not in _SETUPS:
        raise ValueError(f"setup: expected one of {', '.join(_SETUPS)}, found {setup!r}")
    if reduction is not None and reduction < 1:
        raise ValueError(f"reduction: expected 1 or more, found {reduction}")
    if not 0 < t_min <= 10:
        raise ValueError(f"t_min: expected more than 0 and at most 10, where EDE ends, found {t_min}")
    chosen = _SETUPS[setup]
    return Method(
        weight=lambda layer: ShiftedWeight(len(layer.get_parameter("weight")), chosen.weight_sign(t_min)),
        activation=lambda layer: DynamicShift(layer, chosen.input_sign(t_min), reduction or chosen.reduction),
    )
