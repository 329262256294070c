"""Pruning: strategies that go with any method and any two levels; see `prune`."""

from bitwright.core.masked import Masked
from bitwright.sparse.at_random import Random, permute_masks
from bitwright.sparse.from_torch import TorchCriterion, take_torch_masks
from bitwright.sparse.magnitude import Magnitude
from bitwright.sparse.n_of_m import NOfM
from bitwright.sparse.prune import density_of, masks_of, prune, pruned_layers, set_masks
from bitwright.sparse.pruner import Pruner
from bitwright.sparse.schedule import Constant, CubicRamp
from bitwright.sparse.structured import Filters, Kernels

__all__ = [
    "Constant",
    "CubicRamp",
    "Filters",
    "Kernels",
    "Magnitude",
    "Masked",
    "NOfM",
    "Pruner",
    "Random",
    "TorchCriterion",
    "density_of",
    "masks_of",
    "permute_masks",
    "prune",
    "pruned_layers",
    "set_masks",
    "take_torch_masks",
]
