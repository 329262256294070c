"""Structured pruning: whole filters, which a network can lose for good, or whole kernels, which need no operation."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from bitwright.sparse.ranking import Scope, check_scope, rank


@dataclass(frozen=True)
class Filters:
    """Keep the filters with the largest I_o = mean(abs(w_o)): round(density * filters) of them.

    A layer ranked by itself keeps one filter at least. `narrow` removes pruned filters from the network.

    Args:
        scope: "layer": each layer keeps the same share; "global": filters of all layers compete, and a layer may lose
            all of its own.

    Raises:
        ValueError: the scope is unknown.

    Reference: Li et al., "Pruning Filters for Efficient ConvNets", ICLR 2017.
    """

    scope: Scope = "layer"

    def __post_init__(self) -> None:
        check_scope(self.scope)

    def __call__(self, weights: Sequence[Tensor], kept: Sequence[Tensor], density: float) -> list[Tensor]:
        """The masks of all layers."""
        return _rank_groups(weights, kept, density, self.scope, axes=1)


@dataclass(frozen=True)
class Kernels:
    """Keep the kernels, slices (kh, kw) of one input and one output channel, with the largest mean(abs(w_oi)).

    round(density * kernels) stay. In a linear layer each weight is a kernel.

    Args:
        scope: "layer": each layer keeps the same share; "global": kernels of all layers compete.

    Raises:
        ValueError: the scope is unknown.
    """

    scope: Scope = "layer"

    def __post_init__(self) -> None:
        check_scope(self.scope)

    def __call__(self, weights: Sequence[Tensor], kept: Sequence[Tensor], density: float) -> list[Tensor]:
        """The masks of all layers."""
        return _rank_groups(weights, kept, density, self.scope, axes=2)


def _rank_groups(
    weights: Sequence[Tensor], kept: Sequence[Tensor], density: float, scope: Scope, axes: int
) -> list[Tensor]:
    """Rank groups of weights that share their first indices; a group is kept as a whole."""
    scores = [w.detach().abs().reshape(*w.shape[:axes], -1).mean(-1) for w in weights]
    groups = [k.reshape(*k.shape[:axes], -1).any(-1) for k in kept]
    chosen = rank(scores, groups, density, scope, least=1)
    return [
        m.view(*m.shape, *[1] * (w.dim() - axes)).expand(w.shape) & k
        for m, w, k in zip(chosen, weights, kept, strict=True)
    ]
