"""Random pruning: the control experiment for every criterion that looks at the weights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bitwright.sparse.ranking import Scope, check_scope, rank


@dataclass(frozen=True)
class Random:
    """Keep a random subset, round(density * M) of M weights in a layer or in all layers together.

    A seed stands for one order of all weights, so masks of falling density are nested.

    Args:
        scope: "layer": each layer has the same density; "global": only all together.
        seed: of the order.

    Raises:
        ValueError: the scope is unknown.
    """

    scope: Scope = "layer"
    seed: int = 0

    def __post_init__(self) -> None:
        check_scope(self.scope)

    def __call__(self, weights: Sequence[Tensor], kept: Sequence[Tensor], density: float) -> list[Tensor]:
        """The masks of all layers."""
        generator = torch.Generator().manual_seed(self.seed)
        scores = [torch.rand(w.shape, generator=generator).to(w.device) for w in weights]
        return rank(scores, kept, density, self.scope)


def permute_masks(masks: Mapping[str, Tensor], *, scope: Scope = "layer", seed: int = 0) -> dict[str, Tensor]:
    """The same masks with their entries in random order: the counts survive, the places do not.

    Args:
        masks: by the layers' names, from `masks_of`.
        scope: "layer": each layer keeps its count; "global": entries move between layers too.
        seed: of the order.

    Raises:
        ValueError: the scope is unknown.
    """
    check_scope(scope)
    generator = torch.Generator().manual_seed(seed)
    if scope == "layer":
        return {n: m.flatten()[torch.randperm(m.numel(), generator=generator)].view(m.shape) for n, m in masks.items()}
    sizes = [m.numel() for m in masks.values()]
    entries = torch.cat([m.flatten() for m in masks.values()])[torch.randperm(sum(sizes), generator=generator)]
    return {n: part.view(masks[n].shape) for n, part in zip(masks, entries.split(sizes), strict=True)}
