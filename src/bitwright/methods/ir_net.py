"""IR-Net: balanced weights of power-of-two scale, and a surrogate that sharpens while training.

Two parts: Libra-PB standardises each filter before its sign, so that about half of its bits are 1; EDE moves the slope
of the sign from a wide one, which updates every value, to a sharp one, which is close to the sign.

Deployed: one bit a weight and a power of two a filter, a shift of the sum, which folds into the batch norm behind.

Checked: numbers of the authors' code, which takes statistics per filter and divides by n - 1.

Reference: Qin et al., "Forward and Backward Information Retention for Accurate Binary Neural Networks", CVPR 2020.
"""

from collections.abc import Callable
from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn

from bitwright.core.binarizers import ErrorDecay
from bitwright.core.method import Method

_ROUNDING = 1e-6  # a spread below this share of the mean is that of a constant filter


def _per_filter(sums: Callable[..., Tensor], w: Tensor) -> Tensor:
    """A mean, sum or norm over each filter, shaped to broadcast over w."""
    return sums(w, dim=tuple(range(1, w.dim())), keepdim=True)


def _freedom(w: Tensor) -> int:
    return max(1, w[0].numel() - 1)


def _divisor(std: Tensor) -> Tensor:
    return std.where(std > 0, 1.0)


class _Standardise(torch.autograd.Function):
    """v = (w - mean(w)) / std(w) over each filter, and the std; a constant filter has std 0 and is only centred.

    With <a, b> the mean product, its divisor n - 1: dL/dw = (g - mean(g) - v * <g, v>) / std.
    """

    @staticmethod
    def forward(w: Tensor) -> tuple[Tensor, Tensor]:
        mean = _per_filter(torch.mean, w)
        centred = w - mean
        std = _per_filter(torch.linalg.vector_norm, centred) / sqrt(_freedom(w))  # many times as fast as w.std
        std = std.where(std > _ROUNDING * mean.abs(), 0.0)
        return centred.div_(_divisor(std)), std

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.save_for_backward(*output)
        ctx.mark_non_differentiable(output[1])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        v, std = ctx.saved_tensors
        along = _per_filter(torch.sum, grads[0] * v) / _freedom(v)
        return (grads[0] - _per_filter(torch.mean, grads[0])).addcmul_(v, along, value=-1).div_(_divisor(std))


class LibraWeight(nn.Module):
    """Libra-PB: standardise each filter, take its sign, scale it by a power of two.

    v = (w - mean(w)) / std(w), result = 2^p * sign(v) with p = round(log2(mean(abs(v)))), ties to even; p is a constant
    to the gradient, mean and std are not. A filter of equal weights is only centred, and p is 0.

    Shape:
        w (out, ...), unchanged.

    Args:
        t_min: where EDE starts.
        t_max: where EDE ends.
    """

    def __init__(self, t_min: float = 0.1, t_max: float = 10.0) -> None:
        super().__init__()
        self.sign = ErrorDecay(t_min, t_max)

    def forward(self, w: Tensor) -> Tensor:
        """Binarize w."""
        v, std = _Standardise.apply(w)  # type: ignore[misc]
        p = _per_filter(torch.mean, v.detach().abs()).log2().round()
        return p.where(std > 0, 0.0).exp2() * self.sign(v)


def ir_net(t_min: float = 0.1, t_max: float = 10.0, *, real_input: bool = False) -> Method:
    """Weights of Libra-PB; activations sign; both with the slope of EDE. It needs `bw.set_progress`.

    Args:
        t_min: where EDE starts. The paper has 0.1 throughout; the published code 0.1 for VGG-Small and for real
            activations, 0.001 for ResNet-20 with binary ones.
        t_max: where EDE ends.
        real_input: leave the activations real, as in the paper's rows 1/32.

    Raises:
        ValueError: not 0 < t_min <= t_max.

    Reference: Qin et al., CVPR 2020.
    """
    if not 0 < t_min <= t_max:
        raise ValueError(f"t_min, t_max: expected 0 < t_min <= t_max, found {t_min} and {t_max}")
    return Method(
        weight=lambda layer: LibraWeight(t_min, t_max),
        activation=lambda layer: nn.Identity() if real_input else ErrorDecay(t_min, t_max),
    )
