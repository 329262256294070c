"""SBNN-v1-style: weights 0 and 1 instead of -1 and +1, few of them 1, so that most need no operation and no memory.

The earlier form of SBNN. A filter sums the inputs where its bit b is 1: sum(x*b) = (sum(x*(2b - 1)) + sum(x)) / 2,
half of what signed weights give, and half of the sum of the inputs, which is the same for all filters. A penalty holds
the share of ones over all binary layers together below a budget, which can follow from a device: see
`density_of_operations` and `density_of_memory`.

Deployed: one bit a weight, far less where few are 1; sums over the ones alone, which learned levels, as in SBNN, join
with one sum of the input's codes for each pixel.

Checked: only the levels and the results of these versions could be read, the rest is a reconstruction: estimators,
penalty, gammas and learned levels are those of SBNN, whose numbers it gives at equal levels.

Reference: Schiavone and Zuluaga, "Sparsifying Binary Networks", arXiv 2207.04974, 2022.
"""

from math import log2
from typing import Literal

import torch
from torch import Tensor, nn

from bitwright.core.binarizers import ErrorDecay, Sign
from bitwright.core.budget import Budgeted, ConnectionBudget
from bitwright.core.estimators import ste
from bitwright.core.method import Method


def density_of_operations(allowed: float, operations: float) -> float:
    """The density at which so many of a network's binary operations remain: allowed / operations, 1 at most.

    Args:
        allowed: binary operations that the device affords.
        operations: binary operations of the dense network: `bw.count(net, example).bops`.
    """
    return min(allowed / operations, 1.0)


def density_of_memory(allowed: float, weights: int) -> float:
    """The largest density p up to 1/2 at which the bits of all weights can be coded in so many: weights * H(p).

    H(p) = -p*log2(p) - (1-p)*log2(1-p), the entropy of a bit; p is found by halving an interval.

    Args:
        allowed: bits of memory that the device affords, at least 0.
        weights: binary weights of the network: `bw.count(net, example).binary_weights`.
    """
    low, high = 0.0, 0.5
    for _ in range(60):
        middle = (low + high) / 2
        fits = -weights * (middle * log2(middle) + (1 - middle) * log2(1 - middle)) <= allowed
        low, high = (middle, high) if fits else (low, middle)
    return high if allowed >= weights else low


class ZeroOneWeight(Budgeted):
    """phi + tau * s with s = sign(w - threshold) and tau = phi = 1/2: 1 where w >= threshold, else 0.

    Learned, tau and phi are parameters of the layer and start at 1/2.

    Shape:
        w (out, ...), unchanged; learned tau and phi 0-d.

    Args:
        sign: the binarizer of w - threshold, with its estimator.
        budget: of ones, shared with the other layers.
        learned: whether the levels are.
        threshold: of the latent weight.
        clip: `after_step` clamps the latent weight to [-clip, clip].
    """

    tau: Tensor | float
    phi: Tensor | float

    def __init__(
        self,
        sign: nn.Module,
        budget: ConnectionBudget,
        learned: bool = False,
        threshold: float = 0.0,
        clip: float = 1.5,
    ) -> None:
        super().__init__(budget, clip)
        self.sign = sign
        self.threshold = threshold
        self.tau = nn.Parameter(torch.tensor(0.5)) if learned else 0.5
        self.phi = nn.Parameter(torch.tensor(0.5)) if learned else 0.5

    def forward(self, w: Tensor) -> Tensor:
        """Binarize w."""
        return self.tau * self.sign(self.penalized(w)) + self.phi

    def penalized(self, weight: Tensor) -> Tensor:
        """What counts as 1 where it is at least 0."""
        return weight - self.threshold if self.threshold else weight


def sbnn_v1(
    sparsity: float = 0.95,
    *,
    levels: Literal["zero_one", "learned"] = "zero_one",
    estimator: Literal["ede", "ste"] = "ede",
    threshold: float = 0.0,
    gamma: float = 0.07,
    ramp: float = 0.0,
    dead_zone: float = 1e-4,
) -> Method:
    """Weights 0 and 1 under a budget of ones; activations are plain signs.

    Weigh the penalty by the task's loss: `loss + bw.penalty(net, loss)`. Learned levels are new Parameters: make the
    optimizer after `binarize`. What `sbnn` says of short trainings holds here too.

    Args:
        sparsity: the share of weights, over all binary layers, that is to end at 0: 0 to less than 1. Up to 0.5
            nothing is enforced.
        levels: "zero_one", or "learned": a pair for each layer, which starts at 0 and 1.
        estimator: of weights and activations: "ede", as the later code has it, or "ste", with latent weights clamped to
            [-1, 1].
        threshold: of the latent weight; 0.5 takes the nearer of 0 and 1, for latent weights of that size.
        gamma: the penalty's share of the whole loss, 0 to less than 1. SBNN published 0.02, 0.04, 0.07, 0.08 and 0.10
            for a sparsity of 75, 90, 95, 98 and 99 %.
        ramp: the share of training, 0 to 1, during which the budget tightens from 1/2; it needs `bw.set_progress`.
        dead_zone: the excess of density that goes unpunished.

    Raises:
        ValueError: an argument lies outside its range.

    Reference: Schiavone and Zuluaga, arXiv 2207.04974, 2022.
    """
    if levels not in ("zero_one", "learned"):
        raise ValueError(f"levels: expected 'zero_one' or 'learned', found {levels!r}")
    if estimator not in ("ede", "ste"):
        raise ValueError(f"estimator: expected 'ede' or 'ste', found {estimator!r}")
    for name, share in {"sparsity": sparsity, "gamma": gamma, "dead_zone": dead_zone}.items():
        if not 0 <= share < 1:
            raise ValueError(f"{name}: expected a share from 0 to less than 1, found {share}")
    if not 0 <= ramp <= 1:
        raise ValueError(f"ramp: expected a share of training from 0 to 1, found {ramp}")
    budget = ConnectionBudget(1 - sparsity, gamma if sparsity > 0.5 else 0.0, dead_zone, ramp=ramp)

    def sign() -> nn.Module:
        return ErrorDecay() if estimator == "ede" else Sign(ste)

    return Method(
        weight=lambda layer: ZeroOneWeight(
            sign(), budget, levels == "learned", threshold, clip=1.5 if estimator == "ede" else 1.0
        ),
        activation=lambda layer: sign(),
    )
