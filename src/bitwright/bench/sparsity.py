"""The suite of sparsity: networks for 32x32 images with few ones among random weights, against their dense twins.

In every layer the density says which share of the weights is at the rarer level of a general domain (`sbnn`), at random
places. The twin, a peer of ours in the tables, has weights -1 and +1 and runs in turn with them on the same engine.
"""

from importlib.metadata import version

from bitwright.bench.engine import our_engine
from bitwright.bench.item import Item, Setting
from bitwright.bench.networks import find_network, network_graph
from bitwright.bench.peer import Peer, Way
from bitwright.bench.turns import Entrant

NAMES = ("resnet20", "vgg_small", "resnet18-32")
DENSITIES = (0.5, 0.25, 0.1, 0.05, 0.01)
TWIN = "dense"


def sparsity_item(name: str, densities: tuple[float, ...] = DENSITIES) -> Item:
    """One network at each density; its `binary` graph is the dense twin.

    Args:
        name: A key of `networks.NETWORKS`.
        densities: Shares of the weights at the rarer level, up to 0.5.

    Raises:
        ValueError: If there is no such network, or a density not from 0 to 0.5.
    """
    network = find_network(name, densities)
    twin = network_graph(network, None)
    return Item(name, {density: network_graph(network, density) for density in densities}, twin, twin)


def dense_twin(isa: str | None = None) -> Peer:
    """Our engine with the dense twin of an item.

    Args:
        isa: The instruction set by name, the same as of the item; by default the best.
    """

    def build(item: Item, setting: Setting) -> Entrant:
        ours = our_engine(item.binary, None, setting, isa)
        return Entrant(ours.round, ours.isa, version("bitwright"))

    return Peer("bitwright", (), (Way(TWIN, build, ("sparsity",)),))
