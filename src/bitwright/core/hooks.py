"""The three verbs of the training loop, and the interfaces through which a binarizer hears them.

All three do nothing where no binarizer of the network asks for it.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from numbers import Real
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList


class Scheduled(ABC):
    """A module whose behaviour depends on how far training has come."""

    @abstractmethod
    def set_progress(self, progress: float) -> None:
        """Take the share of training that is done, 0 to 1."""


class Stepped(ABC):
    """A weight binarizer that moves its latent weight, or itself, after each optimizer step."""

    @abstractmethod
    def after_step(self, weight: Tensor) -> None:
        """Change the latent weight in place; called without gradients."""


class PenaltyTerm(Protocol):
    """A term of the loss over the parameters of all modules that share it."""

    def __call__(self, weights: Sequence[Tensor], loss: Tensor) -> Tensor:
        """The term, a 0-d tensor with a gradient; `loss` is the task's, detached."""
        ...


class Penalized(ABC):
    """A module that adds a term to the loss; those that share one `penalty_term` object add one together.

    Of a weight binarizer it is about the latent weight, of any other module about its own parameters.
    """

    @property
    @abstractmethod
    def penalty_term(self) -> PenaltyTerm:
        """What the loss gains, over the parameters of all modules that return this very object."""

    def penalized(self, weight: Tensor) -> Tensor:
        """What the term takes of a parameter, with its gradient: the parameter itself, unless a method says more."""
        return weight


def set_progress(net: nn.Module, progress: float) -> None:
    """Tell every scheduled part of the network how far training has come.

    Args:
        net: the network.
        progress: share of training that is done, 0 to 1: epoch / epochs, or finer.

    Raises:
        ValueError: progress lies outside 0 to 1.
    """
    if not isinstance(progress, Real) or not 0 <= progress <= 1:
        raise ValueError(f"progress: expected a number from 0 (start) to 1 (end of training), found {progress!r}")
    for module in net.modules():
        if isinstance(module, Scheduled):
            module.set_progress(float(progress))


def penalty(net: nn.Module, loss: Tensor | None = None) -> Tensor:
    """What the network's binarizers, and gates, add to the loss of the task.

    Args:
        net: the network.
        loss: the loss of the task. Some methods weigh their term by its value, never by its gradient; without it they
            take 1.

    Returns:
        A 0-d tensor, 0 where nothing asks for a penalty.
    """
    shared: dict[int, tuple[PenaltyTerm, dict[nn.Parameter, Tensor]]] = {}
    device = None
    for module, weight in _trained(net):
        device = weight.device
        if isinstance(module, Penalized):
            weights = shared.setdefault(id(module.penalty_term), (module.penalty_term, {}))[1]
            if weight not in weights:  # tied weights count once
                weights[weight] = module.penalized(weight)
    value = torch.ones((), device=device) if loss is None else loss.detach()
    terms = [term(list(weights.values()), value) for term, weights in shared.values()]
    return torch.stack(terms).sum() if terms else torch.zeros((), device=device if loss is None else loss.device)


@torch.no_grad()
def after_step(net: nn.Module) -> None:
    """Let binarizers project latent weights, where any part of a layer learns; call it after `optimizer.step()`."""
    for binarizer, weight in latent_weights(net):
        learning = any(tensor.requires_grad for tensor in (weight, *binarizer.parameters()))
        if isinstance(binarizer, Stepped) and learning:
            binarizer.after_step(weight)


def latent_weights(net: nn.Module) -> Iterator[tuple[nn.Module, nn.Parameter]]:
    """Every weight binarizer of the network with its latent weight, parametrized parameters included.

    A binarizer that has another one as its `wrapped` follows that one.
    """
    for module in net.modules():
        if isinstance(module, ParametrizationList):
            for binarizer in module:
                yield from ((part, module.get_parameter("original")) for part in _unwrap(binarizer))
        elif isinstance(binarizer := getattr(module, "weight_binarizer", None), nn.Module):
            yield from ((part, module.get_parameter("weight")) for part in _unwrap(binarizer))


def _unwrap(binarizer: nn.Module) -> Iterator[nn.Module]:
    """A binarizer after those inside it."""
    if isinstance(wrapped := getattr(binarizer, "wrapped", None), nn.Module):
        yield from _unwrap(wrapped)
    yield binarizer


def _trained(net: nn.Module) -> Iterator[tuple[nn.Module, nn.Parameter]]:
    """Every weight binarizer with its latent weight, and every other penalized module with its own parameters."""
    binarizers = set()
    for binarizer, weight in latent_weights(net):
        binarizers.add(binarizer)
        yield binarizer, weight
    for module in net.modules():
        if isinstance(module, Penalized) and module not in binarizers:
            yield from ((module, parameter) for parameter in module.parameters(recurse=False))
