"""Magnitude pruning: latent weights near 0 go first, since a binary level represents them worst."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from bitwright.sparse.ranking import Scope, check_scope, rank


@dataclass(frozen=True)
class Magnitude:
    """Keep the round(density * M) weights with the largest abs(w), of M in a layer or in all layers together.

    Args:
        scope: "global": all layers share one threshold; "layer": each has the same density.

    Raises:
        ValueError: the scope is unknown.

    Reference: Han et al., "Learning both Weights and Connections for Efficient Neural Networks", NeurIPS 2015.
    """

    scope: Scope = "global"

    def __post_init__(self) -> None:
        check_scope(self.scope)

    def __call__(self, weights: Sequence[Tensor], kept: Sequence[Tensor], density: float) -> list[Tensor]:
        """The masks of all layers."""
        return rank([w.detach().abs() for w in weights], kept, density, self.scope)
