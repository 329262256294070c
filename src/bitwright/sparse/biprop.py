"""Multi-prize tickets: a binary network found inside random weights, by learning only which of them to keep.

Weights never change; each has a learned score (edge-popup), and those with the largest abs(score) are kept.

Reference: Diffenderfer and Kailkhura, "Multi-Prize Lottery Ticket Hypothesis: Finding Accurate Binary Neural Networks
by Pruning A Randomly Weighted Network", ICLR 2021, and its published code; Ramanujan et al., "What's Hidden in a
Randomly Weighted Neural Network?", CVPR 2020.
"""

from math import sqrt
from typing import Literal

import torch
from torch import Tensor, nn

from bitwright.core.binarizers import Sign
from bitwright.core.estimators import approx_sign, straight_through
from bitwright.core.hooks import Scheduled, Stepped
from bitwright.core.masked import Ternary
from bitwright.core.method import Method
from bitwright.sparse.ranking import Scope, check_scope
from bitwright.sparse.schedule import Constant, CubicRamp, Schedule

Gain = Literal["published", "least_squares"]
Weights = Literal["normal", "constant", "as_they_are"]


class Threshold(Scheduled):
    """The score above which weights are kept, one for all layers: the (1 - d) quantile of abs(scores), d the density.

    Args:
        schedule: the density by the progress of training.
    """

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.members: list[EdgePopup] = []
        self.progress = 0.0

    def set_progress(self, progress: float) -> None:
        """Take the share of training that is done."""
        self.progress = progress

    @torch.no_grad()
    def update(self) -> None:
        """Find the threshold for the present scores, and give it to the layers."""
        scores = torch.cat([member.scores.abs().flatten() for member in self.members])
        pruned = int((1 - self.schedule(self.progress)) * len(scores))
        at = scores.kthvalue(pruned).values if pruned else scores.new_tensor(-1.0)
        for member in self.members:
            member.threshold.copy_(at)


class EdgePopup(nn.Module, Scheduled, Stepped, Ternary):
    """a * m * sign(w): m keeps the largest abs(s), a is one gain a layer; only the scores s learn.

    m has n - int((1 - k) * n) ones of n, or those with abs(s) above the shared threshold. a = sum(m * abs(w)) / int(k *
    n) as published, where the division can be off by one, or by the number of ones: the least-squares optimum. The
    scores' gradient is dL/ds = g * w * sign(s), pruned ones included; a is a constant to it.

    Shape:
        w (out, ...), unchanged; scores the same.

    Args:
        shape: of the weight.
        keep: k, the share of weights that is kept.
        gain: what the gain divides by.
        threshold: shared by layers that compete; None ranks each layer by itself.
    """

    threshold: Tensor

    def __init__(
        self, shape: torch.Size, keep: float, gain: Gain = "published", threshold: Threshold | None = None
    ) -> None:
        super().__init__()
        self.keep = keep
        self.gain = gain
        self.shared = threshold
        self.scores = nn.Parameter(torch.empty(shape))
        nn.init.kaiming_uniform_(self.scores, a=sqrt(5))
        if threshold is not None:
            self.register_buffer("threshold", torch.tensor(0.0))
            threshold.members.append(self)

    @property
    def mask(self) -> Tensor:
        """True where a weight is kept."""
        scores = self.scores.detach().abs()
        if self.shared is not None:
            return scores > self.threshold
        count = scores.numel() - int((1 - self.keep) * scores.numel())
        kept = torch.zeros(scores.numel(), dtype=torch.bool, device=scores.device)
        kept[scores.flatten().topk(count, sorted=False).indices] = True
        return kept.view(scores.shape)

    def forward(self, w: Tensor) -> Tensor:
        """Binarize w where it is kept."""
        high, low = self.planes(w)
        return straight_through(high + low, w.detach() * self.scores.abs())

    def planes(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """The gain where a kept weight is at least 0, and its opposite at other kept ones; 0 elsewhere."""
        mask, w = self.mask, w.detach()
        exact = self.shared is not None or self.gain == "least_squares"
        count = mask.sum() if exact else torch.tensor(int(self.keep * w.numel()), device=w.device)
        gain = (w.abs() * mask).sum() / count.clamp(min=1)
        return gain * (mask & (w >= 0)), -gain * (mask & (w < 0))

    def set_progress(self, progress: float) -> None:
        """Pass the progress on to the shared threshold."""
        if self.shared is not None:
            self.shared.set_progress(progress)

    def after_step(self, weight: Tensor) -> None:
        """Move the shared threshold to the new scores, once for all layers."""
        if self.shared is not None and self is self.shared.members[0]:
            self.shared.update()

    def extra_repr(self) -> str:
        """The share that is kept."""
        return f"keep={self.keep:g}"


def biprop(
    keep: float = 0.2,
    *,
    scope: Scope = "layer",
    ramp: float = 0.1,
    gain: Gain = "published",
    weights: Weights = "normal",
    real_input: bool = False,
) -> Method:
    """Masks learned over random binary weights, with values -a, 0 and +a; activations are plain signs.

    The layer's weights are drawn anew, unless told otherwise, and no longer train. The scores are new Parameters: make
    the optimizer after `binarize`. Published: batch norm without learned parameters, and every convolution chosen, the
    first and the last included.

    Args:
        keep: the share of weights that is kept, more than 0, up to 1; called prune rate in the published code.
        scope: "layer", or "global": all layers share one threshold. A layer may then lose all its weights.
        ramp: for "global" and keep up to 1/2: the share of training in which the density falls from 1/2, by a cubic.
        gain: what the gain of a layer divides by, see `EdgePopup`.
        weights: "normal": Kaiming's normal, "constant": plus or minus its standard deviation, both with the fan
            multiplied by 1 - keep, as published; "as_they_are": the layer's own.
        real_input: keep activations real.

    Raises:
        ValueError: an argument lies outside its range.
    """
    check_scope(scope)
    if not 0 < keep <= 1:
        raise ValueError(f"keep: expected a share from more than 0 to 1, found {keep}")
    if not 0 <= ramp <= 1:
        raise ValueError(f"ramp: expected a share of training from 0 to 1, found {ramp}")
    if gain not in ("published", "least_squares"):
        raise ValueError(f"gain: expected 'published' or 'least_squares', found {gain!r}")
    if weights not in ("normal", "constant", "as_they_are"):
        raise ValueError(f"weights: expected 'normal', 'constant' or 'as_they_are', found {weights!r}")
    ramped = CubicRamp(keep, end=ramp, initial=0.5) if ramp and keep <= 0.5 else Constant(keep)

    shared = Threshold(ramped) if scope == "global" else None

    def make(layer: nn.Module) -> EdgePopup:
        weight = layer.get_parameter("weight")
        _draw(weight, keep, weights)
        weight.requires_grad_(False)
        made = EdgePopup(weight.shape, keep, gain, shared)
        if shared is not None:
            shared.update()
        return made

    return Method(weight=make, activation=lambda layer: nn.Identity() if real_input else Sign(approx_sign))


@torch.no_grad()
def _draw(weight: Tensor, keep: float, how: Weights) -> None:
    fan = weight[0].numel() * (1 - keep if keep < 1 else 1)
    if how == "normal":
        weight.normal_(0, sqrt(2 / fan))
    elif how == "constant":
        weight.normal_().sign_().mul_(sqrt(2 / fan))
