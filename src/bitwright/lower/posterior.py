"""Posterior: the deviations of a Bayesian layer go into the metadata; the means are the weights of its op."""

import numpy as np
from torch import nn

from bitwright.errors import LoweringError
from bitwright.format.posterior import KEY, MOST_WEIGHTS, to_text
from bitwright.ir import ops
from bitwright.ir.ops import Op
from bitwright.nn.bayesian import Bayesian


def posterior_meta(net: nn.Module, found: dict[str, Op]) -> dict[str, str]:
    """What the metadata say of a network's Bayesian layer; empty where it has none.

    Args:
        net: The network.
        found: The ops of the graph, by name.

    Raises:
        LoweringError: If there are several such layers, or the graph runs this one more than once or not at all.
    """
    layers = {name: module for name, module in net.named_modules() if isinstance(module, Bayesian)}
    if not layers:
        return {}
    if len(layers) > 1:
        raise LoweringError(f"{', '.join(layers)}: expected one Bayesian layer, found {len(layers)}.")
    ((name, layer),) = layers.items()
    weight = layer.weight.detach().numpy()
    if weight.size > MOST_WEIGHTS:
        raise LoweringError(
            f"{name} ({type(layer).__name__}): expected at most {MOST_WEIGHTS} deviations for a file, "
            f"found {weight.size}. Make a smaller layer Bayesian."
        )
    real = (op for op in found.values() if isinstance(op, ops.Conv | ops.Linear))
    same = [op for op in real if np.array_equal(op.weight.ravel(), weight.ravel())]
    if len(same) != 1:
        raise LoweringError(
            f"{name} ({type(layer).__name__}): expected a Bayesian layer that runs once, as one op, found {len(same)}."
        )
    deviation = layer.deviation.detach().numpy().reshape(same[0].weight.shape)
    return {KEY: to_text(same[0].name, deviation)}
