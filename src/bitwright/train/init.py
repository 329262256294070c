"""Fresh weights as published code draws them, for convolutions and linear layers; other modules keep what they have."""

from collections.abc import Callable
from math import sqrt

from torch import nn


def kaiming(net: nn.Module) -> None:
    """N(0, 2 / n), n the weights of one filter; biases stay.

    Reference: He et al., "Delving Deep into Rectifiers", ICCV 2015, equation 10.
    """
    for layer in _layers(net):
        nn.init.normal_(layer.weight, std=sqrt(2 / layer.weight[0].numel()))


def fan_out(net: nn.Module) -> None:
    """Convolutions N(0, 2 / (kh * kw * out)), linear layers N(0, 0.01^2); biases 0. That of many VGG networks."""
    for layer in _layers(net):
        linear = isinstance(layer, nn.Linear)
        nn.init.normal_(layer.weight, std=0.01 if linear else sqrt(2 / layer.weight[:, 0].numel()))
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def _layers(net: nn.Module) -> list[nn.Conv2d | nn.Linear]:
    return [module for module in net.modules() if isinstance(module, nn.Conv2d | nn.Linear)]


INITIALIZERS: dict[str, Callable[[nn.Module], None]] = {
    "default": lambda net: None,
    "kaiming": kaiming,
    "fan_out": fan_out,
}
