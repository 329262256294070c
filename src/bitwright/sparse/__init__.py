"""Pruning: strategies that go with any method and any two levels; see `prune`."""

from bitwright.core.masked import Masked
from bitwright.sparse.at_random import Random, permute_masks
from bitwright.sparse.biprop import biprop
from bitwright.sparse.flips import FewFlips, FlipCounter, scramble_insensitive, shrunk_widths
from bitwright.sparse.from_torch import TorchCriterion, take_torch_masks
from bitwright.sparse.lottery import LotteryTicket, choose_masks
from bitwright.sparse.magnitude import Magnitude
from bitwright.sparse.masks import density_of, masks_of, pruned_layers
from bitwright.sparse.n_of_m import NOfM
from bitwright.sparse.narrow import narrow
from bitwright.sparse.prune import prune, set_masks
from bitwright.sparse.pruner import Pruner
from bitwright.sparse.schedule import Constant, CubicRamp
from bitwright.sparse.stq_nets import stq_nets
from bitwright.sparse.structured import Filters, Kernels

__all__ = [
    "Constant",
    "CubicRamp",
    "FewFlips",
    "Filters",
    "FlipCounter",
    "Kernels",
    "LotteryTicket",
    "Magnitude",
    "Masked",
    "NOfM",
    "Pruner",
    "Random",
    "TorchCriterion",
    "biprop",
    "choose_masks",
    "density_of",
    "masks_of",
    "narrow",
    "permute_masks",
    "prune",
    "pruned_layers",
    "scramble_insensitive",
    "set_masks",
    "shrunk_widths",
    "stq_nets",
    "take_torch_masks",
]
