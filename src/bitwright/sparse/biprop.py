"""Multi-prize tickets: a binary network found inside random weights, by learning only which of them to keep.

Weights never change; each has a learned score (edge-popup), and those with the largest abs(score) are kept.

Reference: Diffenderfer and Kailkhura, "Multi-Prize Lottery Ticket Hypothesis: Finding Accurate Binary Neural Networks
by Pruning A Randomly Weighted Network", ICLR 2021, and its published code; Ramanujan et al., "What's Hidden in a
Randomly Weighted Neural Network?", CVPR 2020.
"""

from math import sqrt
from typing import Literal

import torch
from torch import Tensor, nn

from bitwright.core.binarizers import Sign
from bitwright.core.estimators import approx_sign
from bitwright.core.method import Method
from bitwright.sparse.edge_popup import EdgePopup, Gain, Threshold
from bitwright.sparse.ranking import Scope, check_scope
from bitwright.sparse.schedule import Constant, CubicRamp

Weights = Literal["normal", "constant", "as_they_are"]


def biprop(
    keep: float = 0.2,
    *,
    scope: Scope = "layer",
    ramp: float = 0.1,
    gain: Gain = "published",
    weights: Weights = "normal",
    real_input: bool = False,
) -> Method:
    """Masks learned over random binary weights, with values -a, 0 and +a; activations are plain signs.

    The layer's weights are drawn anew, unless told otherwise, and no longer train. The scores are new Parameters: make
    the optimizer after `binarize`. Published: batch norm without learned parameters, and every convolution chosen, the
    first and the last included.

    Args:
        keep: the share of weights that is kept, more than 0, up to 1; called prune rate in the published code.
        scope: "layer", or "global": all layers share one threshold. A layer may then lose all its weights.
        ramp: for "global" and keep up to 1/2: the share of training in which the density falls from 1/2, by a cubic.
        gain: what the gain of a layer divides by, see `EdgePopup`.
        weights: "normal": Kaiming's normal, "constant": plus or minus its standard deviation, both with the fan
            multiplied by 1 - keep, as published; "as_they_are": the layer's own.
        real_input: keep activations real.

    Raises:
        ValueError: an argument lies outside its range.
    """
    check_scope(scope)
    if not 0 < keep <= 1:
        raise ValueError(f"keep: expected a share from more than 0 to 1, found {keep}")
    if not 0 <= ramp <= 1:
        raise ValueError(f"ramp: expected a share of training from 0 to 1, found {ramp}")
    if gain not in ("published", "least_squares"):
        raise ValueError(f"gain: expected 'published' or 'least_squares', found {gain!r}")
    if weights not in ("normal", "constant", "as_they_are"):
        raise ValueError(f"weights: expected 'normal', 'constant' or 'as_they_are', found {weights!r}")
    ramped = CubicRamp(keep, end=ramp, initial=0.5) if ramp and keep <= 0.5 else Constant(keep)

    shared = Threshold(ramped) if scope == "global" else None

    def make(layer: nn.Module) -> EdgePopup:
        weight = layer.get_parameter("weight")
        _draw(weight, keep, weights)
        weight.requires_grad_(False)
        made = EdgePopup(weight.shape, keep, gain, shared)
        if shared is not None:
            shared.update()
        return made

    return Method(weight=make, activation=lambda layer: nn.Identity() if real_input else Sign(approx_sign))


@torch.no_grad()
def _draw(weight: Tensor, keep: float, how: Weights) -> None:
    fan = weight[0].numel() * (1 - keep if keep < 1 else 1)
    if how == "normal":
        weight.normal_(0, sqrt(2 / fan))
    elif how == "constant":
        weight.normal_().sign_().mul_(sqrt(2 / fan))
