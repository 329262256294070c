"""STQ-Nets-style: filters with the smallest mean(abs(w)) are pruned while training, and may return until masks freeze.

A reconstruction: of the publication only the abstract was at hand. The importance, its scope and the schedule are
choices of this library.

Reference: Munagala, Prabhu and Namboodiri, "STQ-Nets: Unifying Network Binarization and Structured Pruning", BMVC 2020.
"""

from typing import TypeVar

from torch import nn

from bitwright.nn.convert import Where
from bitwright.sparse.prune import prune
from bitwright.sparse.ranking import Scope
from bitwright.sparse.schedule import CubicRamp
from bitwright.sparse.structured import Filters

M = TypeVar("M", bound=nn.Module)


def stq_nets(
    net: M,
    density: float = 0.6,
    *,
    scope: Scope = "layer",
    end: float = 0.5,
    freeze: float = 0.9,
    where: Where | None = None,
) -> M:
    """Prune filters of a binary network to zero: w_hat_o = M_o * q(w)_o, M_o = 1 for the largest mean(abs(w_o)).

    Density falls from 1 by a cubic; all latent weights train, pruned ones included. `narrow` then removes the filters.

    Args:
        net: the network, after `binarize` with any method; the publication has scaled signs and ste.
        density: the share of filters that is kept at the end, 0 to 1. The abstract prunes 40 % on CIFAR-10, 19 % on
            ImageNet.
        scope: whether filters compete within a layer or over all layers.
        end: the share of training after which the density is reached.
        freeze: the share of training after which masks stay as they are.
        where: which layers, as for `prune`.

    Returns:
        The same network.

    Raises:
        ValueError: an argument lies outside its range.
    """
    schedule = CubicRamp(density, end=end)
    return prune(net, Filters(scope), schedule, where=where, fill="zero", regrow=True, freeze=freeze)
