"""ReCU: standardised latent weights, those far out pulled in to a quantile, so that dead weights revive.

Deployed: one bit a weight, one real scale a filter, which folds into the batch norm behind.

Checked: numbers of the authors' code.

Reference: Xu et al., "ReCU: Reviving the Dead Weights in Binary Neural Networks", ICCV 2021.
"""

from math import exp, log
from typing import Any

import torch
from torch import Tensor, nn

from bitwright.core.binarizers import Sign
from bitwright.core.estimators import approx_sign, sign
from bitwright.core.hooks import Scheduled
from bitwright.core.method import Method
from bitwright.core.standardise import along, inner, spread_of, standardise
from bitwright.nn.rescale import ChannelScale

EPSILON = 1e-5


def laplace_quantile(v: Tensor, tau: float) -> Tensor:
    """The tau-quantile of a Laplace distribution whose mean magnitude is v's: -mean(abs(v)) * ln(2 - 2*tau), 0-d.

    Shape:
        v: any.
    """
    return v.abs().mean() * -log(2 - 2 * tau)


class RectifiedClamp(nn.Module, Scheduled):
    """sign(clamp(v, -Q, Q)) with slope 1, where v is w standardised per filter and Q its tau-quantile over the layer.

    v = (w - mean) * 2*sqrt(2) / sqrt(var + 1e-5), by which a Laplace distribution gets the scale 2; Q is the
    `laplace_quantile` of v, a constant to the gradient; tau grows while training, see `set_progress`.

    Shape:
        w (out, ...), unchanged; a filter has two weights at least.

    Reference: Xu et al., ICCV 2021.
    """

    def __init__(self, tau_start: float, tau_end: float) -> None:
        super().__init__()
        self.tau_start, self.tau_end = tau_start, tau_end
        self.set_progress(0.0)

    def set_progress(self, progress: float) -> None:
        """Let the clamp go: tau = tau_start + (tau_end - tau_start) * (e^progress - 1) / (e - 1)."""
        self.tau = self.tau_start + (self.tau_end - self.tau_start) * (exp(progress) - 1) / (exp(1) - 1)

    def forward(self, w: Tensor) -> Tensor:
        """Binarize w."""
        v, _, _ = standardise(w, 8 * (w[0].numel() - 1), EPSILON / 8)  # 8 = (2*sqrt(2))^2
        bound = laplace_quantile(v.detach(), self.tau)
        return sign(v, slope=lambda v: v.abs().le_(bound))

    def extra_repr(self) -> str:
        """Where the schedule stands."""
        return f"tau={self.tau:.4g}"


class _OverDeviation(torch.autograd.Function):
    """x / sqrt(var + 1e-5) over each sample, the deviation and the mean; only the first has a gradient.

    With <a, b> the inner product over n - 1, u the result and d the deviation:
    dL/dx = (g - <g, u> * (u - mean / d)) / d.
    """

    @staticmethod
    def forward(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean = x.mean(along(x), keepdim=True)
        deviation = spread_of(x - mean, x[0].numel() - 1, EPSILON)
        return x / deviation, deviation, mean

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
        ctx.save_for_backward(*output)
        ctx.mark_non_differentiable(*output[1:])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        u, deviation, mean = ctx.saved_tensors
        share = inner(grads[0], u) / (u[0].numel() - 1)
        return (grads[0] + share * mean / deviation).addcmul_(u, share, value=-1).div_(deviation)


class StandardizedSign(Sign):
    """sign(x) with the slope max(0, 2 - 2*abs(x)); in training of x divided by its deviation over the sample.

    Shape:
        x (N, ...), unchanged.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Binarize x."""
        return super().forward(_OverDeviation.apply(x)[0] if self.training else x)


def recu(tau_start: float = 0.85, tau_end: float = 0.99) -> Method:
    """Weights sign(clamp(v, -Q, Q)), v standardised; activations sign(x / deviation); a learned scale per channel.

    Args:
        tau_start: which quantile bounds the weights as training starts, more than 0.5 and less than 1.
        tau_end: the same as it ends.

    Reference: Xu et al., ICCV 2021.
    """
    if not 0.5 < tau_start <= tau_end < 1:
        raise ValueError(f"tau: expected 0.5 < tau_start <= tau_end < 1, found {tau_start} and {tau_end}")
    return Method(
        weight=lambda layer: RectifiedClamp(tau_start, tau_end),
        activation=lambda layer: StandardizedSign(approx_sign),
        rescale=ChannelScale,
    )
