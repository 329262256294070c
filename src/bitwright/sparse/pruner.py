"""Pruner: one criterion and one schedule over several layers, driven by the verbs of the training loop."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from bitwright.core.masked import Masked
from bitwright.sparse.schedule import Schedule

Criterion = Callable[[Sequence[Tensor], Sequence[Tensor], float], Sequence[Tensor]]
"""From latent weights, the masks so far and a density to new masks, one for each layer."""


class Pruner:
    """Moves the masks of the layers that share it.

    After the optimizer step that follows a change of density the criterion ranks the weights of all layers anew. Where
    weights may return it does so after every step, until masks freeze.

    Args:
        criterion: what is pruned.
        schedule: how much, by the progress of training.
        regrow: whether pruned weights may return: the criterion is then not told of earlier masks.
        freeze: the share of training after which masks stay as they are.
    """

    def __init__(self, criterion: Criterion, schedule: Schedule, *, regrow: bool = False, freeze: float = 1.0) -> None:
        if not 0 <= freeze <= 1:
            raise ValueError(f"freeze: expected a share of training from 0 to 1, found {freeze}")
        self.criterion = criterion
        self.schedule = schedule
        self.regrow = regrow
        self.freeze = freeze
        self.members: list[Masked] = []
        self.progress = 0.0
        self._density: float | None = None  # for which the masks were made
        self._seen: list[Tensor] = []

    def set_progress(self, progress: float) -> None:
        """Take the share of training that is done."""
        self.progress = progress

    def after_step(self, masked: Masked, weight: Tensor) -> None:
        """Gather the layers' weights, and once all are there move the masks, if it is time."""
        frozen = self.freeze < 1 and self.progress >= self.freeze
        if frozen or (not self.regrow and self.schedule(self.progress) == self._density):
            return
        if masked is self.members[0]:
            self._seen = []
        self._seen.append(weight)
        if len(self._seen) == len(self.members):
            weights, self._seen = self._seen, []
            self.update(weights)

    @torch.no_grad()
    def update(self, weights: Sequence[Tensor]) -> None:
        """Make the masks for the present density.

        Args:
            weights: the latent weights of the members, in their order.
        """
        density = self.schedule(self.progress)
        kept = [torch.ones_like(m.mask) if self.regrow else m.mask for m in self.members]
        for member, mask, weight in zip(self.members, self.criterion(weights, kept, density), weights, strict=True):
            member.set_mask(mask, weight)
        self._density = density
