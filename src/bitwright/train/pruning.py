"""The recipe's table [pruning] as the arguments of `bitwright.sparse.prune`."""

from collections.abc import Sequence

from torch import Tensor, nn

from bitwright.errors import RecipeError
from bitwright.nn.layers import BinaryConv2d, BinaryLinear
from bitwright.pretext.heads import in_head
from bitwright.sparse import Constant, CubicRamp, Filters, Kernels, Magnitude, NOfM, Random, prune
from bitwright.sparse.pruner import Criterion
from bitwright.train.optional_tables import LABELS, Pretext, Pruning


def prune_by(settings: Pruning, net: nn.Module, pretext: Pretext = LABELS) -> nn.Module:
    """Give the network the masks of the recipe, all true; after the first step of training they prune.

    Masks that come from another network wait for the weights that this one starts from, see `train.tickets`.

    Args:
        settings: The recipe's table.
        net: The network, binarized; it is changed in place.
        pretext: What it learns; the head of a pretext stays whole.

    Raises:
        RecipeError: If the network has no layer that can be pruned so.
    """
    if not settings.name:
        return net
    criterion, schedule = criterion_of(settings), Constant(settings.density)
    if settings.by:
        criterion, schedule = keep_masks, Constant(1.0)
    elif settings.end:
        schedule = CubicRamp(settings.density, settings.start, settings.end)
    binary = any(isinstance(module, BinaryConv2d | BinaryLinear) for module in net.modules())
    body = None if binary or not pretext.name else lambda name, layer: not in_head(net, name)
    try:
        return prune(
            net,
            criterion,
            schedule,
            where=body,
            fill=settings.fill,
            regrow=settings.regrow,
            freeze=settings.freeze,
            now=False,
        )
    except ValueError as error:
        raise RecipeError(f"[pruning] {settings.name}: {error}") from None


def keep_masks(weights: Sequence[Tensor], kept: Sequence[Tensor], density: float) -> Sequence[Tensor]:
    """The criterion of masks that training does not move."""
    return kept


def criterion_of(settings: Pruning) -> Criterion:
    """The criterion that a recipe names.

    Args:
        settings: The recipe's table.
    """
    if settings.name == "n_of_m":
        return NOfM(settings.n, settings.m)
    return {"magnitude": Magnitude, "random": Random, "filters": Filters, "kernels": Kernels}[settings.name](
        settings.scope
    )
