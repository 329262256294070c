"""QuantizedConv2d: a real convolution whose weights are integers of a few bits, times a learned step a filter."""

from math import sqrt
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bitwright.core.estimators import straight_through
from bitwright.core.standardise import along


def quantize_weight(w: Tensor, step: Tensor, bits: int = 8) -> Tensor:
    """clamp(round(w / s), -2^(bits-1), 2^(bits-1) - 1) * s, with a step s for each filter.

    Rounding has slope 1, so weights beyond the outer levels get no gradient; that of s is multiplied by
    1 / sqrt(n * (2^(bits-1) - 1)), n the number of weights in w.

    Shape:
        w (out, ...), step (out,), result like w.

    Args:
        w: the latent weights.
        step: kept above 0.
        bits: 2 or more.

    Reference: Esser et al., "Learned Step Size Quantization", ICLR 2020.
    """
    most = 2 ** (bits - 1) - 1
    scaled = straight_through(step, step / sqrt(w.numel() * most))
    s = scaled.clamp(min=torch.finfo(step.dtype).eps).view(-1, *[1] * (w.dim() - 1))
    levels = w / s
    return straight_through(levels.round(), levels).clamp(-most - 1, most) * s


def first_step(w: Tensor, bits: int = 8) -> Tensor:
    """Each filter's step at the start, (out,): max(|m - 3d|, |m + 3d|) / 2^(bits-1), of its mean m and deviation d."""
    w = w.detach()
    mean, spread = w.mean(along(w)), w.flatten(1).std(1)
    return torch.maximum((mean - 3 * spread).abs(), (mean + 3 * spread).abs()) / 2 ** (bits - 1)


class QuantizedConv2d(nn.Conv2d):
    """y = conv(x, `quantize_weight`(weight, step)) + bias, for real x: the first layer of networks that count its bits.

    Steps are taken from the weights in the first training pass, unless a state dict brought them.

    Shape:
        x (N, in, H, W), y (N, out, H', W'), as nn.Conv2d; step (out,).
    """

    bits = 8

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.step = nn.Parameter(first_step(self.weight, self.bits))
        self.has_steps = False

    def forward(self, input: Tensor) -> Tensor:
        """Convolve x."""
        self.start()
        w = quantize_weight(self.weight, self.step, self.bits)
        return F.conv2d(input, w, self.bias, self.stride, self.padding, self.dilation, self.groups)

    def start(self) -> None:
        """Take the steps from the weights, the first time in training."""
        if self.training and not self.has_steps:
            with torch.no_grad():
                self.step.copy_(first_step(self.weight, self.bits))
            self.has_steps = True

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        self.has_steps |= f"{prefix}step" in state_dict
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
