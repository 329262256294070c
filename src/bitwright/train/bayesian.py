"""The recipe's table [bayesian] as the arguments of `bitwright.methods.stf_bnn`."""

from dataclasses import dataclass
from typing import Literal

from torch import nn

from bitwright.errors import RecipeError
from bitwright.methods import stf_bnn


@dataclass(frozen=True)
class BayesianLayer:
    """Which layer learns a distribution of its weights, all others being frozen: see `bitwright.methods.stf_bnn`.

    Attributes:
        layer: Its name, or "first"; empty for none.
        deviation: At the start, as a share of the standard deviation of the layer's weights.
        prior: Standard deviation of the prior.
        centre: Of the prior.
        beta: Factor of the divergence.
        warmup: Share of training in which it grows from 0.
        sampling: What is drawn: each output of the layer, or weights for a batch.
        images: How many training images there are; 0 takes the number from the data set.
    """

    layer: str = ""
    deviation: float = 0.05
    prior: float = 1.0
    centre: Literal["zero", "trained"] = "zero"
    beta: float = 1.0
    warmup: float = 0.0
    sampling: Literal["local", "weights"] = "local"
    images: int = 0


NOT_BAYESIAN = BayesianLayer()


def make_bayesian_by(settings: BayesianLayer, net: nn.Module) -> nn.Module:
    """Give the network the Bayesian layer of the recipe, and freeze the rest.

    Args:
        settings: The recipe's table, with the number of images.
        net: The network, binarized and pruned; it is changed in place.

    Raises:
        RecipeError: If the network has no such layer, or a setting is out of range.
    """
    if not settings.layer:
        return net
    options = {key: value for key, value in vars(settings).items() if key != "images"}
    try:
        return stf_bnn(net, settings.images, **options)
    except ValueError as error:
        raise RecipeError(f"[bayesian] {error}") from None
