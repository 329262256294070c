"""SBNN: weights of a general binary domain {alpha, beta}, so skewed towards alpha that most of them need no operation.

The weight is phi + tau*s with s = +-1, so alpha = phi - tau and beta = phi + tau, one pair a layer. A penalty holds the
share of weights at beta, over all binary layers together, below a budget. A weight is at beta where its latent w >= 0,
in counting too: sign(0) = +1 as everywhere in this library.

Deployed: one bit a weight, far less where few are high; two real levels a layer, and one sum of the input's codes for
each pixel, shared by all filters.

Checked: numbers of the authors' code; closed-form levels, `fit` and `ramp` are additions of this library.

Reference: Schiavone, Galati and Zuluaga, "Binary Domain Generalization for Sparsifying Binary Neural Networks",
ECML PKDD 2023, and its published code.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from bitwright.core.binarizers import ErrorDecay, Sign
from bitwright.core.budget import Budgeted, ConnectionBudget
from bitwright.core.estimators import approx_sign, identity, ste
from bitwright.core.method import Method

LevelRule = Literal["learned", "closed_form", "symmetric"]


class Domain(NamedTuple):
    """Two levels for a set of weights, how many weights take the high one, and the squared error: 0-d, float64."""

    low: Tensor
    high: Tensor
    ones: Tensor
    error: Tensor


def split_domain(w: Tensor, bits: Tensor) -> Domain:
    """The best two levels for a given assignment: the mean of each side.

    low = mean(w where bit 0), high = mean(w where bit 1), error = sum(w^2) - n0*low^2 - n1*high^2. A side that no
    weight takes gets the other's level mirrored, -low or -high.

    Shape:
        w and bits: any, the same.
    """
    w, ones = w.detach().double(), bits.double()
    n1 = ones.sum()
    n0 = w.numel() - n1
    s1 = (w * ones).sum()
    s0 = (w - w * ones).sum()
    low = torch.where(n0 > 0, s0 / n0.clamp(min=1), -s1 / n1.clamp(min=1))
    high = torch.where(n1 > 0, s1 / n1.clamp(min=1), -low)
    return Domain(low, high, n1, w.square().sum() - n0 * low.square() - n1 * high.square())


def optimal_domain(w: Tensor) -> Domain:
    """The best two levels and the best assignment together: one-dimensional 2-means, exactly, in O(M log M).

    The best assignment cuts the sorted weights in two; every cut is tried, by prefix sums in float64. The threshold it
    implies is (low + high) / 2.

    Shape:
        w: any, at least one weight.
    """
    ordered = w.detach().double().flatten().sort().values
    prefix = ordered.cumsum(0)
    n0 = torch.arange(1, len(ordered), device=w.device)
    s0, s1 = prefix[:-1], prefix[-1] - prefix[:-1]
    gain = s0.square() / n0 + s1.square() / (len(ordered) - n0)
    gain = gain.where(ordered[:-1] < ordered[1:], -torch.inf)  # equal weights cannot be told apart
    if not gain.isfinite().any():
        return split_domain(ordered, torch.zeros_like(ordered))
    return split_domain(ordered, torch.arange(len(ordered), device=w.device) > gain.argmax())


def domain_of_density(w: Tensor, ones: int) -> Domain:
    """The best two levels when a given number of weights is to be high: these are the largest.

    Shape:
        w: any.

    Raises:
        ValueError: ones lies outside 0 to the number of weights.
    """
    if not 0 <= ones <= w.numel():
        raise ValueError(f"ones: expected 0 to {w.numel()}, the number of weights, found {ones}")
    ordered = w.detach().double().flatten().sort().values
    return split_domain(ordered, torch.arange(len(ordered), device=w.device) >= len(ordered) - ones)


def symmetric_error(w: Tensor) -> Tensor:
    """Squared error of the best symmetric domain, mean(abs(w)) * sign(w): sum(w^2) - sum(abs(w))^2 / M.

    Shape:
        w: any; the result is 0-d, float64.
    """
    w = w.detach().double()
    return w.square().sum() - w.abs().sum().square() / w.numel()


class GeneralDomain(Budgeted):
    """tau * s + phi with s = sign(w): the weight of a layer, in the domain {phi - tau, phi + tau}.

    tau may become negative; the levels then change places, and a bit keeps its meaning.

    Shape:
        w (out, ...), unchanged.

    Args:
        sign: the binarizer of w, with its estimator.
        budget: of high weights, shared with the other layers.
        levels: "learned": tau and phi are parameters, one pair a layer; "closed_form": the best levels for the current
            bits, constants to the gradient; "symmetric": mean(abs(w)) * s per filter, for comparison.
        clip: `after_step` clamps the latent weight to [-clip, clip]; None leaves it.
    """

    def __init__(
        self, sign: nn.Module, budget: ConnectionBudget, levels: LevelRule = "learned", clip: float | None = None
    ) -> None:
        super().__init__(budget, clip)
        self.sign = sign
        self.levels = levels
        if levels == "learned":
            self.tau = nn.Parameter(torch.tensor(1.0))
            self.phi = nn.Parameter(torch.tensor(0.0))

    @torch.no_grad()
    def fit(self, w: Tensor) -> None:
        """Set the learned tau and phi to the best levels for the signs of w, as a start from trained weights."""
        domain = split_domain(w, w >= 0)
        self.tau.fill_((domain.high - domain.low) / 2)
        self.phi.fill_((domain.high + domain.low) / 2)

    def forward(self, w: Tensor) -> Tensor:
        """Binarize w."""
        s = self.sign(w)
        if self.levels == "learned":
            return self.tau * s + self.phi
        if self.levels == "symmetric":
            return w.detach().abs().mean(tuple(range(1, w.dim())), keepdim=True) * s
        domain = split_domain(w, w >= 0)
        return ((domain.high - domain.low) / 2).to(w) * s + ((domain.high + domain.low) / 2).to(w)

    def extra_repr(self) -> str:
        """The rule for the levels and the budget."""
        return f"levels={self.levels}, {super().extra_repr()}"


@dataclass(frozen=True)
class _Setup:
    """What the published code does for one data set; gammas are (density, gamma) pairs."""

    weight_sign: Callable[[], nn.Module]
    input_sign: Callable[[], nn.Module]
    clip: float | None
    dead_zone: float
    count_slope: float
    gammas: tuple[tuple[float, float], ...]


_C10 = ((0.01, 0.10), (0.02, 0.08), (0.03, 0.08), (0.04, 0.07), (0.05, 0.07), (0.10, 0.04), (0.25, 0.02), (0.50, 0.0))
_C100 = ((0.01, 0.07), (0.02, 0.06), (0.03, 0.05), (0.04, 0.05), (0.05, 0.05), (0.50, 0.0))
_IMAGENET = ((0.10, 0.02), (0.50, 0.0))
_SETUPS = {
    "cifar10": _Setup(ErrorDecay, ErrorDecay, 1.5, 1e-4, 0.5, _C10),
    "cifar100": _Setup(lambda: Sign(identity), lambda: Sign(approx_sign), 1.5, 1e-4, 0.5, _C100),
    "imagenet": _Setup(lambda: Sign(ste), lambda: Sign(approx_sign), None, 1e-5, 1.0, _IMAGENET),
}


def published_gamma(density: float, estimator: str = "cifar10") -> float:
    """The gamma published for a density, interpolated linearly between the published ones and constant beyond them."""
    table = _SETUPS[estimator].gammas
    for (d0, g0), (d1, g1) in pairwise(table):
        if density <= d1:
            return g0 + (g1 - g0) * max(density - d0, 0.0) / (d1 - d0)
    return table[-1][1]


def sbnn(
    sparsity: float = 0.95,
    *,
    gamma: float | None = None,
    estimator: Literal["cifar10", "cifar100", "imagenet"] = "cifar10",
    levels: LevelRule = "learned",
    fit: bool = False,
    ramp: float = 0.0,
    dead_zone: float | None = None,
) -> Method:
    """Sparse binary weights in a general domain; activations are plain signs.

    The defaults are those of the published code, which trains for hundreds of epochs. In a few epochs the published
    gammas hardly move the density, and large ones shake Adam each time the excess becomes tiny. A short training
    wants a large gamma that acts softly, for example gamma=0.8, ramp=0.6, dead_zone=0.01.

    Weigh the penalty by the task's loss, as published: `loss + bw.penalty(net, loss)`. The learned levels are new
    Parameters: make the optimizer after `binarize`. Latent weights keep the framework's symmetric initialisation.

    Args:
        sparsity: the share of weights, over all binary layers, that is to end at the low level: 0 to less than 1. Up to
            0.5 nothing is enforced unless gamma is given.
        gamma: the penalty's share of the whole loss, 0 to less than 1; None takes the published one for this sparsity.
        estimator: the published set-up. "cifar10": EDE for weights and activations; "cifar100": identity for weights,
            approx_sign for activations; "imagenet": ste for weights, approx_sign for activations, latent weights are
            not clamped and a bit counts with slope 1.
        levels: see `GeneralDomain`.
        fit: start learned levels from the closed form for the layer's weights, for networks that are trained already.
        ramp: the share of training, 0 to 1, during which the budget tightens from 1/2, so that short runs reach a high
            sparsity too; 0, as published, enforces it from the start. It needs `bw.set_progress`.
        dead_zone: the excess of density that goes unpunished, which bounds the penalty's gradient; None takes the
            published one, 0.0001 ("imagenet": 0.00001).

    Raises:
        ValueError: an argument lies outside its range.

    Reference: Schiavone, Galati and Zuluaga, ECML PKDD 2023.
    """
    if not 0 <= sparsity < 1:
        raise ValueError(f"sparsity: expected a share from 0 to less than 1, such as 0.95, found {sparsity}")
    if estimator not in _SETUPS:
        raise ValueError(f"estimator: expected one of {', '.join(_SETUPS)}, found {estimator!r}")
    if levels not in ("learned", "closed_form", "symmetric"):
        raise ValueError(f"levels: expected 'learned', 'closed_form' or 'symmetric', found {levels!r}")
    if fit and levels != "learned":
        raise ValueError(f"fit: only learned levels can be fitted, found levels={levels!r}")
    density = 1 - sparsity
    gamma = published_gamma(density, estimator) if gamma is None else gamma
    if not 0 <= gamma < 1:
        raise ValueError(f"gamma: expected a share from 0 to less than 1, found {gamma}")
    if not 0 <= ramp <= 1:
        raise ValueError(f"ramp: expected a share of training from 0 to 1, found {ramp}")
    setup = _SETUPS[estimator]
    dead_zone = setup.dead_zone if dead_zone is None else dead_zone
    if not 0 <= dead_zone < 1:
        raise ValueError(f"dead_zone: expected a share from 0 to less than 1, found {dead_zone}")
    budget = ConnectionBudget(density, gamma, dead_zone, setup.count_slope, ramp)

    def weight(layer: nn.Module) -> GeneralDomain:
        binarizer = GeneralDomain(setup.weight_sign(), budget, levels, setup.clip)
        if fit:
            binarizer.fit(layer.get_parameter("weight"))
        return binarizer

    return Method(weight=weight, activation=lambda layer: setup.input_sign())
