"""Criteria and masks of `torch.nn.utils.prune`, without its hooks and its renamed parameters."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import prune as torch_prune
from torch.nn.utils.prune import BasePruningMethod

from bitwright.sparse.ranking import Scope, check_scope


class TorchCriterion:
    """Any pruning method of `torch.nn.utils.prune`, or one like them, as a criterion of ours.

    Of the weights, or of the channels of a structured method, that are kept so far it prunes as many as leave
    round(density * M) of M.

    Args:
        method: the class, such as `torch.nn.utils.prune.L1Unstructured`.
        scope: "layer", or "global" for all layers together, which structured methods have not.
        options: further arguments of the class besides the amount: `n` and `dim` of `LnStructured`.

    Raises:
        ValueError: the scope is unknown, or global for a structured method.

    Example:
        >>> from torch.nn.utils.prune import L1Unstructured
        >>> criterion = TorchCriterion(L1Unstructured)
    """

    def __init__(self, method: type[BasePruningMethod], scope: Scope = "layer", **options: Any) -> None:
        check_scope(scope)
        self.structured = getattr(method, "PRUNING_TYPE", None) == "structured"
        if self.structured and scope == "global":
            raise ValueError(f"scope: {method.__name__} prunes channels, expected 'layer', found 'global'")
        self.method: Callable[..., Any] = method
        self.scope = scope
        self.options = options

    def __call__(self, weights: Sequence[Tensor], kept: Sequence[Tensor], density: float) -> list[Tensor]:
        """The masks of all layers."""
        if self.structured:
            return [self._channels(w, k, density) for w, k in zip(weights, kept, strict=True)]
        if self.scope == "layer":
            return [self._weights(w.detach(), k, density) for w, k in zip(weights, kept, strict=True)]
        sizes = [w.numel() for w in weights]
        joined = torch.cat([w.detach().flatten() for w in weights]), torch.cat([k.flatten() for k in kept])
        parts = self._weights(*joined, density).split(sizes)
        return [part.view(w.shape) for part, w in zip(parts, weights, strict=True)]

    def _weights(self, w: Tensor, kept: Tensor, density: float) -> Tensor:
        amount = max(int(kept.sum()) - round(density * w.numel()), 0)
        mask = kept.clone()
        mask[kept] = self._chosen(w[kept], amount)
        return mask

    def _channels(self, w: Tensor, kept: Tensor, density: float) -> Tensor:
        dim = self.options.get("dim", -1) % w.dim()
        alive = kept.transpose(0, dim).flatten(1).any(1).nonzero()[:, 0]
        amount = max(len(alive) - round(density * w.shape[dim]), 0)
        mask = kept.clone()
        return mask.index_copy_(dim, alive, self._chosen(w.detach().index_select(dim, alive), amount)) & kept

    def _chosen(self, w: Tensor, amount: int) -> Tensor:
        if not amount:
            return torch.ones_like(w, dtype=torch.bool)
        return self.method(amount=amount, **self.options).compute_mask(w, torch.ones_like(w)) != 0


def take_torch_masks(net: nn.Module) -> dict[str, Tensor]:
    """The masks that `torch.nn.utils.prune` has put on weights, whose hooks go: for `set_masks`.

    Each layer has its `weight` as a Parameter again, with 0 where it is pruned, so that `binarize` takes it.

    Args:
        net: the network, changed in place.

    Returns:
        Masks by the layers' names, true where a weight is kept.
    """
    masks = {}
    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear) and "weight_mask" in dict(module.named_buffers(recurse=False)):
            masks[name] = module.get_buffer("weight_mask") != 0
            torch_prune.remove(module, "weight")
    return masks
