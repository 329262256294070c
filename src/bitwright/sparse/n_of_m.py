"""N:M sparsity: N weights of each M that follow one another along the input channels."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import torch
from torch import Tensor


@dataclass(frozen=True)
class NOfM:
    """Keep the n largest abs(w) of each m input channels, for every filter and kernel position.

    While the density is above n / m, ceil(density * m) of each m stay, so that schedules lead to n : m; it ends there.

    Args:
        n: weights kept.
        m: input channels in a group.

    Raises:
        ValueError: n or m lies outside its range; a layer's input channels are no multiple of m.

    Reference: Zhou et al., "Learning N:M Fine-grained Structured Sparse Neural Networks From Scratch", ICLR 2021.
    """

    n: int = 2
    m: int = 4

    def __post_init__(self) -> None:
        if not 1 <= self.n <= self.m:
            raise ValueError(f"n and m: expected 1 <= n <= m, found {self.n} and {self.m}")

    def __call__(self, weights: Sequence[Tensor], kept: Sequence[Tensor], density: float) -> list[Tensor]:
        """The masks of all layers."""
        count = max(self.n, ceil(density * self.m - 1e-9))
        return [self._mask(w, k, count) for w, k in zip(weights, kept, strict=True)]

    def _mask(self, w: Tensor, kept: Tensor, count: int) -> Tensor:
        if w.shape[1] % self.m:
            raise ValueError(
                f"{self.n}:{self.m} needs input channels that are a multiple of {self.m}, found {w.shape[1]}"
            )
        scores = w.detach().abs().masked_fill(~kept, -torch.inf).unflatten(1, (-1, self.m))  # (out, groups, m, ...)
        largest = scores.argsort(dim=2, descending=True, stable=True).narrow(2, 0, count)
        return torch.zeros_like(scores, dtype=torch.bool).scatter_(2, largest, True).view(w.shape) & kept
