"""The suite of networks: networks of the zoo with random weights, dense and at 95 % sparsity.

Training changes no time. Dense weights are -1 and +1 (`bi_real_net`); sparse ones have a general domain (`sbnn`), with
the share that the density says at the rarer level in every layer. Our engine reads pixels; peers get images that are
normalised already.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bitwright.bench.item import DENSE, Item, noise
from bitwright.bench.peer_graph import pool_before_sign
from bitwright.ir import ops

if TYPE_CHECKING:
    from torch import nn

DENSITIES = (DENSE, 0.05)
OFFSET = -0.75  # the middle of the two levels: an untrained network has it at 0, where they are -1 and +1
PIXELS = ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


@dataclass(frozen=True)
class Network:
    """How to make a network of the zoo, the sides of its square images, and what our engine keeps in integers."""

    make: "Callable[[], nn.Module]"
    size: int
    first_layer: Literal["float32", "int16"] = "float32"
    stream: Literal["float32", "int16"] = "float32"


def _resnet20() -> "nn.Module":
    from bitwright import zoo

    return zoo.resnet20()


def _vgg_small() -> "nn.Module":
    from bitwright import zoo

    return zoo.vgg_small()


def _resnet18_cifar() -> "nn.Module":
    from bitwright import zoo

    return zoo.resnet18()


def _resnet18() -> "nn.Module":
    from torch import nn

    from bitwright import zoo

    return zoo.resnet18(num_classes=1000, shortcut_every=1, nonlinearity=nn.Identity, stem="large")


NETWORKS = {
    "resnet20": Network(_resnet20, 32),
    "vgg_small": Network(_vgg_small, 32),
    "resnet18-32": Network(_resnet18_cifar, 32),
    "resnet18-224": Network(_resnet18, 224),
    "resnet18-224-int16": Network(_resnet18, 224, first_layer="int16"),
    "resnet18-224-int16-stream": Network(_resnet18, 224, first_layer="int16", stream="int16"),
}


def network_item(name: str, densities: tuple[float, ...] = DENSITIES) -> Item:
    """One network at each density.

    Args:
        name: A key of `NETWORKS`.
        densities: Shares of the binary weights at the rarer level; `DENSE` stands for weights of -1 and +1.

    Raises:
        ValueError: If there is no such network, or a density not from 0 to 0.5.
    """
    network = find_network(name, densities)
    shares = {DENSE: None} | {density: density for density in densities if density != DENSE}
    graphs = {density: network_graph(network, share) for density, share in shares.items()}
    real = pool_before_sign(network_graph(network, None, pixels=False))
    return Item(name, graphs, real, real)


def find_network(name: str, densities: tuple[float, ...]) -> Network:
    """A network that is timed, for densities that it can have.

    Args:
        name: A key of `NETWORKS`.
        densities: Shares of the binary weights at the rarer level.

    Raises:
        ValueError: If there is no such network, or a density not above 0 and up to 0.5.
    """
    if name not in NETWORKS:
        raise ValueError(f"items: expected some of {', '.join(NETWORKS)}, found {name!r}")
    for density in densities:
        if not 0 < density <= DENSE:
            raise ValueError(f"densities: expected shares above 0 and up to {DENSE}, found {density}")
    return NETWORKS[name]


def network_graph(network: Network, density: float | None, *, pixels: bool = True) -> ops.Graph:
    """A network with random weights.

    Args:
        network: Which.
        density: Share of the weights at the rarer of two levels of a general domain, in every layer; None for weights
            of -1 and +1.
        pixels: Whether it reads pixels, and normalises them; else real numbers, and nothing of it is in integers.
    """
    import torch

    from bitwright.lower.first_layer import integer_first_layer
    from bitwright.lower.pipeline import lower
    from bitwright.lower.stream import fixed_stream
    from bitwright.methods import bi_real_net, sbnn
    from bitwright.methods.sbnn import GeneralDomain
    from bitwright.nn.convert import binarize
    from bitwright.nn.layers import BinaryConv2d

    torch.manual_seed(0)
    net = network.make()
    binarize(net, bi_real_net() if density is None else sbnn(sparsity=1 - density))
    if density is not None:
        with torch.no_grad():
            for layer in net.modules():
                if isinstance(layer, GeneralDomain):
                    layer.phi.fill_(OFFSET)
                if isinstance(layer, BinaryConv2d):
                    weights = layer.weight.flatten()
                    low = min(round((1 - density) * len(weights)), len(weights) - 1)
                    layer.weight -= weights.kthvalue(low + 1).values  # `low` weights become negative
    shape = (1, 3, network.size, network.size)
    if not pixels:
        return lower(net, torch.zeros(shape))
    graph = lower(net, torch.zeros(shape, dtype=torch.uint8), pixels=PIXELS)
    x = noise(graph.input_type, 1)
    if network.first_layer == "int16":
        graph = integer_first_layer(graph, x)[0]
    return graph if network.stream == "float32" else fixed_stream(graph, x)[0]
