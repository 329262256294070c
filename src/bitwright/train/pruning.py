"""The recipe's table [pruning] as the arguments of `bitwright.sparse.prune`."""

from torch import nn

from bitwright.errors import RecipeError
from bitwright.sparse import Constant, CubicRamp, Filters, Kernels, Magnitude, NOfM, Random, prune
from bitwright.sparse.pruner import Criterion
from bitwright.train.optional_tables import Pruning


def prune_by(settings: Pruning, net: nn.Module) -> nn.Module:
    """Give the network the masks of the recipe, all true; after the first step of training they prune.

    Args:
        settings: The recipe's table.
        net: The network, binarized; it is changed in place.

    Raises:
        RecipeError: If the network has no layer that can be pruned so.
    """
    if not settings.name:
        return net
    density = settings.density
    schedule = CubicRamp(density, settings.start, settings.end) if settings.end else Constant(density)
    try:
        return prune(
            net,
            _criterion(settings),
            schedule,
            fill=settings.fill,
            regrow=settings.regrow,
            freeze=settings.freeze,
            now=False,
        )
    except ValueError as error:
        raise RecipeError(f"[pruning] {settings.name}: {error}") from None


def _criterion(settings: Pruning) -> Criterion:
    if settings.name == "n_of_m":
        return NOfM(settings.n, settings.m)
    return {"magnitude": Magnitude, "random": Random, "filters": Filters, "kernels": Kernels}[settings.name](
        settings.scope
    )
