"""Density: the share of weights that hold bit 1, read off each binary layer."""

from dataclasses import dataclass

import torch
from torch import nn

from bitwright.core.levels import read_levels
from bitwright.core.masked import Ternary
from bitwright.nn.layers import BinaryConv2d, BinaryLinear
from bitwright.sparse.masks import density_of, masks_of


@dataclass(frozen=True)
class Density:
    """Shares of ones, in each binary layer by name and in all of them together; of all but zeros where some are zero.

    Attributes:
        total: Over all these weights; 1 where there are none.
        layers: By module name.
    """

    total: float
    layers: dict[str, float]


def measure_density(net: nn.Module) -> Density:
    """Binarize every layer's weight once and count its ones; weights that stay real are left out.

    Of a network without binary weights, count the weights that its pruned layers keep.

    Args:
        net: The network.

    Raises:
        LoweringError: If a weight binarizer breaks the two-level law.
    """
    ones, weights, layers = 0.0, 0, {}
    for name, layer in net.named_modules():
        if isinstance(layer, BinaryConv2d | BinaryLinear) and not isinstance(layer.weight_binarizer, nn.Identity):
            with torch.no_grad():
                weight = layer.weight_binarizer(layer.weight)
            if weight is layer.weight:  # real when it counts, such as a weight whose bits training draws
                continue
            zeros = isinstance(layer.weight_binarizer, Ternary) and layer.weight_binarizer.ternary
            share = (weight != 0).float().mean().item() if zeros else read_levels(weight).density
            layers[name] = share
            ones, weights = ones + share * layer.weight.numel(), weights + layer.weight.numel()
    if weights:
        return Density(ones / weights, layers)
    return Density(density_of(net), {name: kept.float().mean().item() for name, kept in masks_of(net).items()})
