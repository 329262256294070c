"""Edge-popup for binary weights: weights that never change, and a learned score for each that says whether it is kept.

Reference: Diffenderfer and Kailkhura, "Multi-Prize Lottery Ticket Hypothesis: Finding Accurate Binary Neural Networks
by Pruning A Randomly Weighted Network", ICLR 2021, and its published code; Ramanujan et al., "What's Hidden in a
Randomly Weighted Neural Network?", CVPR 2020.
"""

from math import sqrt
from typing import Literal

import torch
from torch import Tensor, nn

from bitwright.core.estimators import straight_through
from bitwright.core.hooks import Scheduled, Stepped
from bitwright.core.masked import Ternary
from bitwright.sparse.schedule import Schedule

Gain = Literal["published", "least_squares"]


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
