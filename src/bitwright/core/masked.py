"""Masked: a weight binarizer under a mask, whose pruned weights take one of the two levels, or an exact zero."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from bitwright.core.estimators import straight_through
from bitwright.core.hooks import Scheduled, Stepped

Fill = Literal["majority", "low", "zero"]
_ASIDE = 2.0**-20  # how far from 0 a pruned latent weight stays on its side


class MaskRule(Protocol):
    """What decides on the masks of the layers that share it, as training goes on."""

    def set_progress(self, progress: float) -> None:
        """Take the share of training that is done, 0 to 1."""
        ...

    def after_step(self, masked: "Masked", weight: Tensor) -> None:
        """See one layer's latent weight after an optimizer step; called for each layer in turn."""
        ...


class Ternary(ABC):
    """A weight binarizer whose filters may hold an exact zero beside two levels; a file stores it as two planes."""

    ternary: bool = True  # whether this one has zeros

    @abstractmethod
    def planes(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """The binarized weight as a sum of two that hold two values each: the high level or 0, the low level or 0.

        Shape:
            w (out, ...); both results the same.
        """


class Masked(nn.Module, Scheduled, Stepped, Ternary):
    """w_hat = m * q(w) + (1 - m) * f, with q a weight binarizer, m the mask and f the fill.

    The mask is a buffer, all true at first. A pruned weight gets no gradient, and after each optimizer step its latent
    weight is held on the side of 0 that the fill stands for, at 0 for an exact zero; with `regrow` it goes on training
    as if it were kept, so that it may return. What q measures on a filter, such as a mean, it measures on these too.

    In the general domain the fill depends on the levels, so pruned weights train them like all others.

    Shape:
        w (out, ...), unchanged.

    Args:
        binarizer: q; nn.Identity for a real weight, whose fill is zero.
        shape: of the weight.
        fill: what a pruned weight becomes: the level that most of the layer's kept weights have when the first weights
            are pruned, the low level, or an exact zero, a third value of the filter.
        regrow: whether pruned weights go on training.
        rule: what moves the mask while training, shared with other layers; None leaves it to `set_mask`.
    """

    mask: Tensor
    high: Tensor

    def __init__(
        self,
        binarizer: nn.Module,
        shape: Sequence[int],
        fill: Fill = "majority",
        *,
        regrow: bool = False,
        rule: MaskRule | None = None,
    ) -> None:
        super().__init__()
        if fill not in ("majority", "low", "zero"):
            raise ValueError(f"fill: expected 'majority', 'low' or 'zero', found {fill!r}")
        if isinstance(binarizer, nn.Identity) and fill != "zero":
            raise ValueError(f"fill: a real weight has no levels, expected 'zero', found {fill!r}")
        self.wrapped = binarizer
        self.fill = fill
        self.ternary = fill == "zero" and not isinstance(binarizer, nn.Identity)
        self.regrow = regrow
        self.rule = rule
        self.register_buffer("mask", torch.ones(tuple(shape), dtype=torch.bool))
        self.register_buffer("high", torch.tensor(False))  # whether the fill is the high level

    @property
    def density(self) -> float:
        """The share of weights that are kept."""
        return self.mask.float().mean().item()

    def forward(self, w: Tensor) -> Tensor:
        """Binarize w, and fill in where it is pruned."""
        q = self.wrapped(w if self.regrow else torch.where(self.mask, w, w.detach()))  # q may mix a filter's gradients
        filled = torch.where(self.mask, q, 0.0 if self.fill == "zero" else self._level(w, q))
        return straight_through(filled, q) if self.regrow else filled

    def planes(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """The weight of exact zeros as a sum of two that hold two values each."""
        q = self.wrapped(w)
        high = q >= _by_filter(_pairs(q.detach())[1], q)
        return torch.where(self.mask & high, q, 0.0), torch.where(self.mask & ~high, q, 0.0)

    def take_unpruned(self, state_dict: dict[str, Any], prefix: str) -> None:
        """Change a state dict of the binarizer alone, from before it was masked, into one that goes with the mask.

        Args:
            state_dict: changed in place, where it holds all of the binarizer and no mask.
            prefix: of this module's keys.
        """
        inside = [f"{prefix}{key}" for key in self.wrapped.state_dict()]
        if inside and all(key in state_dict for key in inside) and f"{prefix}mask" not in state_dict:
            for key in inside:
                state_dict[f"{prefix}wrapped.{key.removeprefix(prefix)}"] = state_dict.pop(key)
            state_dict.update({f"{prefix}mask": self.mask, f"{prefix}high": self.high})

    @torch.no_grad()
    def set_mask(self, mask: Tensor, weight: Tensor) -> None:
        """Take a mask, and move the latent weights that it prunes to where they are held.

        Args:
            mask: true, or not 0, where a weight is kept.
            weight: the latent weight.

        Raises:
            ValueError: the shape is not the weight's.
        """
        if mask.shape != self.mask.shape:
            raise ValueError(f"mask: expected the weight's shape {tuple(self.mask.shape)}, found {tuple(mask.shape)}")
        mask = mask.to(self.mask.device) != 0
        if self.fill == "majority" and bool(self.mask.all()) and not bool(mask.all()):
            q = self.wrapped(weight)
            at_high = q >= _by_filter(_pairs(q)[1], q)
            self.high.fill_(2 * (at_high & mask).sum() > mask.sum())
        self.mask.copy_(mask)
        self._hold(weight)

    def set_progress(self, progress: float) -> None:
        """Pass on to the rule how far training has come."""
        if self.rule is not None:
            self.rule.set_progress(progress)

    def after_step(self, weight: Tensor) -> None:
        """Hold pruned latent weights where they are, then let the rule move the mask."""
        self._hold(weight)
        if self.rule is not None:
            self.rule.after_step(self, weight)

    def _hold(self, weight: Tensor) -> None:
        if self.regrow:
            return
        if self.fill == "zero":
            weight.mul_(self.mask)
        else:
            aside = weight.abs().clamp_(min=_ASIDE)
            weight.copy_(torch.where(self.mask, weight, torch.where(self.high, aside, -aside)))

    def _level(self, w: Tensor, q: Tensor) -> Tensor:
        """The level that pruned weights take: a function of the binarizer's parameters, never of w, to the gradient."""
        learned = any(p.requires_grad for p in self.wrapped.parameters())
        low, high = _pairs(self.wrapped(w.detach()) if learned else q.detach())
        return _by_filter(torch.where(self.high, high, low), q)

    def extra_repr(self) -> str:
        """The fill and the share of kept weights."""
        return f"fill={self.fill}, density={self.density:.4g}{', regrow' if self.regrow else ''}"


def _pairs(q: Tensor) -> tuple[Tensor, Tensor]:
    """The low and the high level of each filter, (out,).

    A filter that holds one value takes the pair of the others where they share one that contains it; else that value
    and its opposite.
    """
    flat = q.flatten(1)
    low, high = flat.amin(1), flat.amax(1)
    two = low != high
    lowest, highest = low.where(two, torch.inf).amin(), high.where(two, -torch.inf).amax()
    shared = two.any() & (((low == lowest) & (high == highest)) | ~two).all()
    inside = shared & ((low == lowest) | (low == highest))
    single_low, single_high = lowest.where(inside, -low.abs()), highest.where(inside, low.abs())
    return low.where(two, single_low), high.where(two, single_high)


def _by_filter(values: Tensor, like: Tensor) -> Tensor:
    return values.view(-1, *[1] * (like.dim() - 1))
