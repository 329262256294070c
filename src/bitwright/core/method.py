"""Method: what `binarize` puts into a layer."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

Factory = Callable[[nn.Module], nn.Module]


@dataclass(frozen=True)
class Method:
    """Factories, each called once for every layer with that layer: nn.Conv2d or nn.Linear.

    Args:
        weight: makes the weight binarizer, from the latent weight to one of the same shape and two levels a filter.
        activation: makes the input binarizer, to -1/+1 or 0/1, a `LevelPair` or the digits of `Planes`; nn.Identity
            keeps activations real.
        rescale: makes a module of (x, y), the layer's real input and its output, whose result replaces the output: a
            gate, XNOR-Net's K, an elastic link. Where it is or returns None, the output stays.
        gate: called for each nn.Conv2d, whose activation makes digits; makes the `PlaneGate` that decides where the
            second plane is read. None reads it everywhere.

    Example:
        >>> from bitwright.core.binarizers import ScaledSign, Sign
        >>> plain = Method(weight=lambda layer: ScaledSign(), activation=lambda layer: Sign())
    """

    weight: Factory
    activation: Factory
    rescale: Callable[[nn.Module], nn.Module | None] | None = None
    gate: Factory | None = None
