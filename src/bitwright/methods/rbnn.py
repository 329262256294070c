"""RBNN: weights rotated towards their signs before they are binarized, and a slope that narrows while training.

A scale can make up for the length of a filter's signs, not for the angle between them and the filter. Two small
rotations of each layer, which turn its filters as matrices from both sides, make that angle smaller; a share that is
learned for each filter mixes the rotated weight with the weight itself.

Deployed: one bit a weight and one real scale a filter, which folds into the batch norm behind; rotations and shares are
gone, their bits remain. The mean of each sample stays, the threshold of its activations: two passes over the input.

Checked: numbers of the authors' code, which cuts the gradient at the rotated weight: see `code_compat`. There rotations
are fitted before the first step of an epoch, here after it.

Reference: Lin et al., "Rotated Binary Neural Network", NeurIPS 2020.
"""

from math import asin, isqrt, sqrt
from typing import Any

import torch
from torch import Tensor, nn

from bitwright.core import custom_ops
from bitwright.core.binarizers import ErrorDecay
from bitwright.core.estimators import Slope, sign
from bitwright.core.hooks import Scheduled, Stepped
from bitwright.core.method import Method
from bitwright.core.standardise import inner, spread_of, standardise
from bitwright.nn.rescale import ChannelScale
from bitwright.nn.shapes import per_input

EPSILON = 1e-12  # of the variances: equal values are only centred
ALTERNATIONS = 3


class TrainingAwareSign(ErrorDecay):
    """sign(x) with the slope k * max(0, sqrt(2)*t - t^2*abs(x)); t grows from start to end, and k = max(1/t, 1).

    Shape:
        any, unchanged.

    Args:
        start: t where training begins.
        end: t where it ends.

    Reference: Lin et al., NeurIPS 2020.
    """

    def slope(self, x: Tensor) -> Tensor:
        """The derivative of the surrogate, a new tensor."""
        return x.abs().mul_(-self.k * self.t**2).add_(self.k * self.t * sqrt(2)).clamp_(min=0)

    def forward(self, x: Tensor) -> Tensor:
        """Binarize x."""
        return sign(x, self.slope)


def factorise(n: int) -> tuple[int, int]:
    """The factors a <= b of n = a * b that are nearest to each other; of a prime 1 and n."""
    a = next(a for a in range(isqrt(n), 0, -1) if n % a == 0)
    return a, n // a


class _Rotate(torch.autograd.Function):
    """left^T x right of each matrix x, in full precision both ways: rounded to half, other weights would be positive.

    dL/dx = left g right^T.
    """

    @staticmethod
    def forward(x: Tensor, left: Tensor, right: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return left.T @ x @ right

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[1:])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        left, right = ctx.saved_tensors
        with torch.autocast(left.device.type, enabled=False):
            return left @ grads[0] @ right.T, None, None


def fit_rotations(x: Tensor, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Rotations that bring left^T x right nearer to its signs: three alternations from those given.

    Each takes b = sign(left^T x right), then the left that maximises sum(b * left^T x right), then such a right. The
    sum of abs(left^T x right) falls in none of them.

    Shape:
        x (out, a, b), left (a, a), right (b, b).
    """
    for _ in range(ALTERNATIONS):
        signs = custom_ops.sign(left.T @ x @ right)
        left = _nearest_rotation(torch.einsum("oab,ocb->ac", x @ right, signs))
        right = _nearest_rotation(torch.einsum("oab,oac->bc", x, left @ signs))
    return left, right


def _nearest_rotation(matrix: Tensor) -> Tensor:
    """The orthogonal matrix of the largest inner product with a square one."""
    u, _, vh = torch.linalg.svd(matrix)
    return u @ vh


class RotatedWeight(nn.Module, Scheduled, Stepped):
    """sign(v + abs(sin(angle)) * (rotated - v)), v the standardised filter, a x b, and rotated = left^T v right.

    v = (w - mean) / std; `left` and `right` belong to the layer, at first at random, and are fitted to its weights by
    `after_step`; angle is learned, one a filter. The slope is that of `TrainingAwareSign`.

    Shape:
        w (out, ...), unchanged; left (a, a), right (b, b) with a * b the weights of a filter, see `factorise`;
        angle (out, 1, ...).

    Args:
        w: the latent weight, for its shape.
        sign: binarizer of the mixed weight.
        updates: how often the rotations are fitted, evenly over training.
        mix: abs(sin(angle)) where training starts.
        code_compat: no gradient through `rotated`: see `rbnn`.

    Reference: Lin et al., NeurIPS 2020.
    """

    left: Tensor
    right: Tensor
    fitted: Tensor

    def __init__(
        self, w: Tensor, sign: nn.Module, updates: int = 100, mix: float = 1.0, code_compat: bool = False
    ) -> None:
        super().__init__()
        self.sign = sign
        self.updates = updates
        self.code_compat = code_compat
        self.angle = nn.Parameter(torch.full((len(w), *[1] * (w.dim() - 1)), asin(mix)))
        for name, size in zip(("left", "right"), factorise(w[0].numel()), strict=True):
            self.register_buffer(name, nn.init.orthogonal_(torch.empty(size, size)))
        self.register_buffer("fitted", torch.tensor(-1))
        self.done = -1  # `fitted` without waiting for the device
        self.set_progress(0.0)

    def set_progress(self, progress: float) -> None:
        """Tell which of the `updates` parts of training this is."""
        self.part = int(progress * self.updates + 1e-6)  # 29 / 100 * 100 is less than 29

    def standardised(self, w: Tensor) -> Tensor:
        """The filters that are rotated.

        Shape:
            w (out, ...), the result (out, a, b).
        """
        v, _, _ = standardise(w, max(1, w[0].numel() - 1), EPSILON)
        return v.view(-1, len(self.left), len(self.right))

    def forward(self, w: Tensor) -> Tensor:
        """Binarize w."""
        v = self.standardised(w)
        rotated = _Rotate.apply(v.detach() if self.code_compat else v, self.left, self.right)
        v, rotated = v.view_as(w), rotated.view_as(w)  # type: ignore[attr-defined]
        return self.sign(v + self.angle.sin().abs() * (rotated - v))

    def after_step(self, weight: Tensor) -> None:
        """Fit the rotations to the weights, in the first step of each part of training."""
        if self.part != self.done:
            left, right = fit_rotations(self.standardised(weight), self.left, self.right)
            self.left.copy_(left)
            self.right.copy_(right)
            self.fitted.fill_(self.part)
            self.done = self.part

    def _load_from_state_dict(self, *args: Any, **named: Any) -> None:
        super()._load_from_state_dict(*args, **named)
        self.done = int(self.fitted)

    def extra_repr(self) -> str:
        """The sides of the rotations."""
        return f"rotations={len(self.left)}x{len(self.right)}, updates={self.updates}"


class _SignOfStandardised(torch.autograd.Function):
    """sign(u) of centred samples, with the gradient of sign(v), v = u / spread.

    With <a, b> the inner product over n - 1 and g = slope(v) * dL/dy: dL/du = (g - v * <g, v>) / spread.
    """

    @staticmethod
    def forward(u: Tensor, axes: int, slope: Slope) -> Tensor:
        return custom_ops.sign(u)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        u, ctx.axes, ctx.slope = inputs
        ctx.save_for_backward(u)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (u,) = ctx.saved_tensors
        samples = u.reshape(-1, *u.shape[-ctx.axes :])
        divisor = max(1, samples[0].numel() - 1)
        spread = spread_of(samples, divisor, EPSILON)
        v = samples / spread
        g = ctx.slope(v).mul_(grads[0].view_as(v))
        return g.addcmul_(v, inner(g, v) / divisor, value=-1).div_(spread).view_as(u), None, None


class StandardisedInput(TrainingAwareSign):
    """sign((x - mean) / std) over each sample; the slope is max(0, sqrt(2)*t - t^2*abs(.)), t at least 1.

    The result is that of x - mean: std is in the gradient only.

    Shape:
        x (..., C, H, W) before a convolution, (..., F) before a linear layer, unchanged.

    Args:
        layer: whose input it binarizes.
        start: t where training begins, if it is more than 1.
        end: t where it ends.
    """

    def __init__(self, layer: nn.Module, start: float, end: float) -> None:
        super().__init__(start, end)
        self.axes = len(per_input(layer))

    def set_progress(self, progress: float) -> None:
        """Sharpen the surrogate: t = max(start * (end / start)^progress, 1)."""
        super().set_progress(progress)
        self.t, self.k = max(self.t, 1.0), 1.0

    def forward(self, x: Tensor) -> Tensor:
        """Binarize x."""
        mean = x.mean((-2, -1), keepdim=True).mean(-3, keepdim=True) if self.axes == 3 else x.mean(-1, keepdim=True)
        return _SignOfStandardised.apply(x - mean, self.axes, self.slope)  # type: ignore[no-any-return]


def rbnn(
    t_min: float = 1e-2, t_max: float = 10.0, *, updates: int = 100, mix: float = 1.0, code_compat: bool = False
) -> Method:
    """Weights sign(v + abs(sin(angle)) * (rotated v - v)), v standardised; activations standardised; a learned scale.

    It needs `bw.set_progress` and `bw.after_step`. Angles and scales are new Parameters, make the optimizer after
    `binarize`: a scale starts at mean(abs(w)) of its filter.

    Args:
        t_min: sharpness t of the slope as training starts.
        t_max: the same as it ends.
        updates: how often the rotations are fitted, evenly over training; once an epoch as published.
        mix: abs(sin(angle)) at the start, 0 to 1. At the published 1 the angle has no gradient, and weight decay alone
            moves it; at 0 neither does, and nothing is rotated.
        code_compat: no gradient through the rotated weight, as in the published code. That of the weight is then
            multiplied by 1 - abs(sin(angle)), which is 0 at the published start: without weight decay no weight learns.

    Raises:
        ValueError: an argument lies outside its range.

    Reference: Lin et al., NeurIPS 2020, and the authors' code.
    """
    if not 0 < t_min <= t_max:
        raise ValueError(f"t_min, t_max: expected 0 < t_min <= t_max, found {t_min} and {t_max}")
    if updates < 1:
        raise ValueError(f"updates: expected 1 or more, found {updates}")
    if not 0 <= mix <= 1:
        raise ValueError(f"mix: expected a share from 0 to 1, found {mix}")

    def weight(layer: nn.Module) -> nn.Module:
        binarizer = TrainingAwareSign(t_min, t_max)
        return RotatedWeight(layer.get_parameter("weight"), binarizer, updates, mix, code_compat)

    return Method(
        weight=weight,
        activation=lambda layer: StandardisedInput(layer, t_min, t_max),
        rescale=lambda layer: ChannelScale(layer, layer.get_parameter("weight").detach().flatten(1).abs().mean(1)),
    )
