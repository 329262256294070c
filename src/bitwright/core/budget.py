"""A budget of high weights over a whole network, the penalty for more, and the weight binarizers that keep to it.

Reference: Schiavone, Galati and Zuluaga, "Binary Domain Generalization for Sparsifying Binary Neural Networks",
ECML PKDD 2023, and its published code.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bitwright.core.estimators import straight_through
from bitwright.core.hooks import Penalized, Scheduled, Stepped


def penalty_weight(excess: Tensor, loss: Tensor, gamma: float, dead_zone: float) -> Tensor:
    """The factor lambda that makes lambda * excess the share gamma of the whole loss; 0 within the dead zone.

    lambda = gamma * loss / (excess * (1 - gamma)) where excess > dead_zone

    Shape:
        excess, loss and the result: 0-d.
    """
    outside = excess > dead_zone
    return torch.where(outside, gamma * loss / (excess.where(outside, 1.0) * (1 - gamma)), 0.0)


@dataclass(eq=False)
class ConnectionBudget:
    """How many weights may be high, over all layers that share this object, and the penalty for more.

    The penalty is lambda * h, h = max(0, p - allowed), p the share of high weights, lambda from `penalty_weight`.
    Its value is then gamma/(1-gamma) of the task's loss, however large h is, and its gradient grows as h shrinks:
    lambda * count_slope / M for each of the M latent weights. Counts are taken from the weights on each call.

    `allowed` is the density, as published, unless there is a ramp. The published constant budget takes tens of
    thousands of steps to reach, since its gradient is small while h is large; a ramp keeps h small throughout.

    Args:
        density: the share of high weights that is allowed, 0 to 1; called EC in the published code.
        gamma: the penalty's share of the whole loss, 0 to less than 1.
        dead_zone: the excess that goes unpunished.
        count_slope: what the backward pass takes for the derivative of a weight's bit: 1/2 or 1.
        ramp: the share of training during which `allowed` falls from 1/2 to the density; 0 for none.
        progress: the share of training that is done.
    """

    density: float
    gamma: float
    dead_zone: float = 1e-4
    count_slope: float = 0.5
    ramp: float = 0.0
    progress: float = 1.0

    @property
    def allowed(self) -> float:
        """The share that is allowed now: density, plus (1/2 - density) * (1 - progress/ramp)^3 while on the ramp."""
        if self.progress >= self.ramp or self.density >= 0.5:
            return self.density
        return self.density + (0.5 - self.density) * (1 - self.progress / self.ramp) ** 3

    def share(self, weights: Sequence[Tensor]) -> Tensor:
        """The share p of high weights over all the latent weights given: 0-d, float64, without a gradient."""
        ones = torch.stack([(w.detach() >= 0).sum().to(weights[0].device) for w in weights]).sum()
        return ones.double() / sum(w.numel() for w in weights)

    def __call__(self, weights: Sequence[Tensor], loss: Tensor) -> Tensor:
        """The penalty of these latent weights, 0-d."""
        total = sum(w.numel() for w in weights)
        excess = (self.share(weights) - self.allowed).clamp(min=0).to(torch.float32)
        bits_sum = torch.stack([w.sum(dtype=torch.float32).to(excess.device) for w in weights]).sum()
        factor = penalty_weight(excess, loss.detach().to(excess), self.gamma, self.dead_zone)
        return factor * straight_through(excess, self.count_slope / total * bits_sum)


class Budgeted(nn.Module, Scheduled, Stepped, Penalized):
    """A weight binarizer whose high weights count against a budget.

    Args:
        budget: of high weights, shared with the other layers.
        clip: `after_step` clamps the latent weight to [-clip, clip]; None leaves it.
    """

    def __init__(self, budget: ConnectionBudget, clip: float | None = None) -> None:
        super().__init__()
        self.budget = budget
        self.clip = clip

    @property
    def penalty_term(self) -> ConnectionBudget:
        """The shared budget."""
        return self.budget

    def set_progress(self, progress: float) -> None:
        """Move the shared budget along its ramp."""
        self.budget.progress = progress

    def after_step(self, weight: Tensor) -> None:
        """Clamp the latent weight."""
        if self.clip is not None:
            weight.clamp_(-self.clip, self.clip)

    def extra_repr(self) -> str:
        """The budget."""
        return f"density<={self.budget.density:g}, gamma={self.budget.gamma:g}"
