"""ReCU: standardised latent weights, those far out pulled in to a quantile, so that dead weights revive.

Deployed: one bit a weight, one real scale a filter, which folds into the batch norm behind.

Checked: numbers of the authors' code.

Reference: Xu et al., "ReCU: Reviving the Dead Weights in Binary Neural Networks", ICCV 2021.
"""

from math import exp, log, sqrt

from torch import Tensor, nn

from bitwright.core.binarizers import Sign
from bitwright.core.estimators import approx_sign, identity
from bitwright.core.hooks import Scheduled
from bitwright.core.method import Method
from bitwright.nn.rescale import ChannelScale

EPSILON = 1e-5


def variance(centred: Tensor) -> Tensor:
    """Variance along all axes but the first, divisor n - 1, of a tensor whose mean there is 0."""
    return centred.square().sum(tuple(range(1, centred.dim())), keepdim=True) / (centred[0].numel() - 1)


def centre(x: Tensor) -> Tensor:
    """Subtract the mean along all axes but the first."""
    return x - x.mean(tuple(range(1, x.dim())), keepdim=True)


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
        w = centre(w)
        v = w * (2 * sqrt(2) / (variance(w) + EPSILON).sqrt())
        bound = laplace_quantile(v.detach(), self.tau)
        return identity(v.clamp(-bound, bound))

    def extra_repr(self) -> str:
        """Where the schedule stands."""
        return f"tau={self.tau:.4g}"


class StandardizedSign(Sign):
    """sign(x) with the slope max(0, 2 - 2*abs(x)); in training of x divided by its deviation over the sample.

    Shape:
        x (N, ...), unchanged.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Binarize x."""
        return super().forward(x / (variance(centre(x)) + EPSILON).sqrt() if self.training else x)


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
