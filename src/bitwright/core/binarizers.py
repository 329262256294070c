"""Binarizers: modules from a real tensor to one of two levels, for weights and activations; `Planes` to one of four."""

from abc import ABC, abstractmethod
from math import sqrt

from torch import Tensor, nn

from bitwright.core.estimators import Estimator, Slope, ede, identity, quantize, ste, step, straight_through
from bitwright.core.hooks import Scheduled, Stepped


class Sign(nn.Module):
    """+1 where x >= 0, else -1, with the gradient of an estimator.

    Shape:
        any, unchanged.

    Args:
        estimator: a function of `core.estimators`, or one like them; by its name, not a lambda, if it is to be pickled.
    """

    def __init__(self, estimator: Estimator = ste) -> None:
        super().__init__()
        self.estimator = estimator

    def forward(self, x: Tensor) -> Tensor:
        """Binarize x."""
        return self.estimator(x)

    def extra_repr(self) -> str:
        """The estimator's name."""
        return getattr(self.estimator, "__name__", repr(self.estimator))


class ScaledSign(nn.Module):
    """scale * sign(w) with scale = mean(abs(w)) over each output channel, a constant to the gradient.

    The scale is the best one in the least-squares sense.

    Shape:
        w (out, ...), unchanged.

    Args:
        estimator: what the backward pass sees of the sign.
        scale_gradient: whether the gradient is multiplied by the scale too, as the product rule has it. Much published
            code leaves it out.

    Reference: Rastegari et al., "XNOR-Net", ECCV 2016, equation 6.
    """

    def __init__(self, estimator: Estimator = ste, scale_gradient: bool = True) -> None:
        super().__init__()
        self.estimator = estimator
        self.scale_gradient = scale_gradient

    def forward(self, w: Tensor) -> Tensor:
        """Binarize w."""
        scale = w.detach().abs().mean(tuple(range(1, w.dim())), keepdim=True)
        s = self.estimator(w)
        return scale * s if self.scale_gradient else straight_through(scale * s.detach(), s)

    def extra_repr(self) -> str:
        """The estimator's name and the rule for the scale."""
        return f"{getattr(self.estimator, '__name__', self.estimator)}, scale_gradient={self.scale_gradient}"


class ClampedSign(nn.Module, Stepped):
    """sign(w) with slope 1 everywhere, for latent weights that are kept within [-1, 1].

    Each optimizer step is multiplied by sqrt((fan_in + fan_out) / 1.5), the inverse of Glorot's coefficient, where
    fan_in = in*kh*kw and fan_out = out*kh*kw; then the latent weight is clamped.

    Shape:
        w (out, in, ...), unchanged.

    Args:
        glorot_step: whether the step is multiplied at all.

    Reference: Courbariaux et al., "BinaryConnect", NeurIPS 2015, sections 2.4 and 2.5, and the published code.
    """

    def __init__(self, glorot_step: bool = True) -> None:
        super().__init__()
        self.glorot_step = glorot_step
        self.before: Tensor | None = None  # the latent weight of the last training pass

    def forward(self, w: Tensor) -> Tensor:
        """Binarize w."""
        if self.training and self.glorot_step:
            self.before = w.detach().clone()
        return identity(w)

    def after_step(self, weight: Tensor) -> None:
        """Lengthen the step that the optimizer took since the last training pass, and clamp the latent weight."""
        if self.before is not None:
            fans = (weight.shape[0] + weight.shape[1]) * weight[0, 0].numel()
            weight.copy_(self.before.lerp_(weight, sqrt(fans / 1.5)))
            self.before = None
        weight.clamp_(-1, 1)

    def extra_repr(self) -> str:
        """Whether steps are multiplied."""
        return f"glorot_step={self.glorot_step}"


class Step(nn.Module):
    """1 where x >= threshold, else 0.

    Shape:
        any, unchanged.

    Args:
        threshold: compared with x.
        slope: derivative of the surrogate at x - threshold; None is the identity.
    """

    def __init__(self, threshold: float = 0.0, slope: Slope | None = None) -> None:
        super().__init__()
        self.threshold = threshold
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        """Binarize x."""
        return step(x - self.threshold, self.slope)

    def extra_repr(self) -> str:
        """The threshold."""
        return f"threshold={self.threshold}"


class LevelPair(nn.Module, ABC):
    """scale * (code + shift) with code = -1 or +1: an activation binarizer of two levels other than -1/+1 and 0/1.

    The packed network keeps the codes; scale and shift join the layer's output.

    Shape:
        x any, unchanged; scale and shift 0-d.
    """

    scale: Tensor
    shift: Tensor

    @abstractmethod
    def codes(self, x: Tensor) -> Tensor:
        """The code of each value, -1 or +1, with the gradient of an estimator."""

    def forward(self, x: Tensor) -> Tensor:
        """Binarize x."""
        return self.scale * (self.codes(x) + self.shift)


class Planes(nn.Module):
    """Two bit planes: x rounded to -1, -1/3, +1/3 or +1, with slope 1 where -1 < x < 1, else 0.

    y = round((clamp(x, -1, 1) + 1) / d) * d - 1 with d = 2/3, ties to even: 0 goes to +1/3, -2/3 to -1, 2/3 to +1/3. So
    y = (2m + l) / 3 of two signs, and m, the high plane, is the sign of x: `Sign` is this less the low plane.

    Shape:
        any, unchanged.

    Reference: Zhang et al., "FracBNN: Accurate and FPGA-Efficient Binary Neural Networks with Fractional Activations",
    FPGA 2021.
    """

    digits = True  # see `levels.has_digits`

    def forward(self, x: Tensor) -> Tensor:
        """Quantize x."""
        return quantize(x, slope=_inside)


def _inside(x: Tensor) -> Tensor:
    return x.abs().lt_(1)


class ErrorDecay(nn.Module, Scheduled):
    """EDE: sign with the slope k*t*(1 - tanh(t*x)^2), where t grows from start to end and k = max(1/t, 1).

    Shape:
        any, unchanged.

    Args:
        start: t where training begins.
        end: t where it ends.

    Reference: Qin et al., "Forward and Backward Information Retention for Accurate Binary Neural Networks", CVPR 2020.
    """

    def __init__(self, start: float = 0.1, end: float = 10.0) -> None:
        super().__init__()
        self.start, self.end = start, end
        self.set_progress(0.0)

    def set_progress(self, progress: float) -> None:
        """Sharpen the surrogate: t = start * (end / start)^progress."""
        self.t = self.start * (self.end / self.start) ** progress
        self.k = max(1 / self.t, 1.0)

    def forward(self, x: Tensor) -> Tensor:
        """Binarize x."""
        return ede(x, self.t, self.k)

    def extra_repr(self) -> str:
        """Where the schedule stands."""
        return f"t={self.t:.4g}, k={self.k:.4g}"
