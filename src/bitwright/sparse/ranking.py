"""Ranking: which of the weights, or groups of them, have the largest scores, by layer or over all layers."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

Scope = Literal["layer", "global"]


def check_scope(scope: str) -> None:
    """Raise a ValueError unless the scope is one of the two."""
    if scope not in ("layer", "global"):
        raise ValueError(f"scope: expected 'layer' or 'global', found {scope!r}")


def keep_largest(scores: Tensor, kept: Tensor, count: int) -> Tensor:
    """True at the `count` largest scores among those kept so far, at all of them where they are fewer.

    Of equal scores the first ones stay, so that the count is exact.

    Shape:
        scores, kept and the result: any, the same.
    """
    flat = scores.detach().flatten().masked_fill(~kept.flatten(), -torch.inf)
    order = flat.argsort(descending=True, stable=True)[: min(count, int(kept.sum()))]
    mask = torch.zeros_like(flat, dtype=torch.bool)
    mask[order] = True
    return mask.view(scores.shape)


def rank(
    scores: Sequence[Tensor], kept: Sequence[Tensor], density: float, scope: Scope, least: int = 0
) -> list[Tensor]:
    """Keep the largest scores, round(density * M) of M: of each layer, or of all layers together.

    Shape:
        scores and kept: a tensor a layer, of any shape; the results have theirs.

    Args:
        scores: what is large is kept.
        kept: what is kept so far; nothing else comes back.
        density: the share to keep, 0 to 1.
        scope: what competes.
        least: how many each layer keeps at least, where layers are ranked by themselves.
    """
    if scope == "layer":
        counts = [max(round(density * s.numel()), min(least, s.numel())) for s in scores]
        return [keep_largest(s, k, count) for s, k, count in zip(scores, kept, counts, strict=True)]
    sizes = [s.numel() for s in scores]
    home = scores[0].device
    all_scores = torch.cat([s.detach().flatten().to(home) for s in scores])
    mask = keep_largest(all_scores, torch.cat([k.flatten().to(home) for k in kept]), round(density * sum(sizes)))
    return [m.view(s.shape).to(s.device) for m, s in zip(mask.split(sizes), scores, strict=True)]
