"""One item of a suite: everybody made ready, then all of them timed in turn."""

from collections.abc import Sequence
from dataclasses import dataclass

from bitwright.bench.engine import Ours, our_engine
from bitwright.bench.item import Item, Setting, Suite
from bitwright.bench.layers import DENSITIES as LAYER_DENSITIES
from bitwright.bench.layers import NAMES as LAYER_NAMES
from bitwright.bench.layers import layer_item
from bitwright.bench.networks import DENSITIES as NETWORK_DENSITIES
from bitwright.bench.networks import NETWORKS, network_item
from bitwright.bench.peer import Peer
from bitwright.bench.sparsity import DENSITIES as SPARSITY_DENSITIES
from bitwright.bench.sparsity import NAMES as SPARSITY_NAMES
from bitwright.bench.sparsity import sparsity_item
from bitwright.bench.turns import Entrant, take_turns
from bitwright.report.timing import Timing

ITEMS: dict[Suite, tuple[str, ...]] = {"layers": LAYER_NAMES, "networks": tuple(NETWORKS), "sparsity": SPARSITY_NAMES}


@dataclass(frozen=True)
class Result:
    """What one item gave.

    Attributes:
        item: The work.
        ours: Our engine and its time, by density.
        peers: The peers and their times, by the name of the peer and of its way.
        absent: Why a peer or a way has no time.
    """

    item: Item
    ours: dict[float, tuple[Ours, Timing]]
    peers: dict[tuple[str, str], tuple[Entrant, Timing]]
    absent: dict[str, str]


def make_item(suite: Suite, name: str, densities: Sequence[float] = ()) -> Item:
    """An item of a suite by its name, at some densities or at the suite's own.

    Args:
        suite: Which suite.
        name: One of its items; of layers also other shapes.
        densities: Of the weights; the dense form is always there, in the suite of sparsity as the peer.

    Raises:
        ValueError: If there is no such item, or a density is out of range.
    """
    if suite == "layers":
        return layer_item(name, tuple(densities) or LAYER_DENSITIES)
    if suite == "sparsity":
        return sparsity_item(name, tuple(densities) or SPARSITY_DENSITIES)
    return network_item(name, tuple(densities) or NETWORK_DENSITIES)


def run_item(
    item: Item, suite: Suite, peers: Sequence[Peer], setting: Setting, *, isa: str | None = None, rounds: int = 50
) -> Result:
    """Time one item on our side at each density and on each peer, in turn.

    A peer that is missing, or fails, is named with the reason and leaves the others alone.

    Args:
        item: The work.
        suite: What it belongs to.
        peers: Whom to compare with.
        setting: Threads and batch, for everybody.
        isa: Our instruction set by name; by default the best.
        rounds: How often each takes its turn.

    Raises:
        ValueError: If a setting is out of range.
    """
    ours = {density: our_engine(graph, item.layer, setting, isa) for density, graph in item.graphs.items()}
    ready, absent = _enter(item, suite, peers, setting)
    sides = {f"bitwright {density}": side.round for density, side in ours.items()}
    sides |= {" ".join(name): entrant.round for name, entrant in ready.items()}
    times = take_turns(sides, rounds=rounds)
    return Result(
        item,
        {density: (side, times[f"bitwright {density}"]) for density, side in ours.items()},
        {name: (entrant, times[" ".join(name)]) for name, entrant in ready.items()},
        absent,
    )


def _enter(
    item: Item, suite: Suite, peers: Sequence[Peer], setting: Setting
) -> tuple[dict[tuple[str, str], Entrant], dict[str, str]]:
    ready, absent = {}, {}
    for peer in peers:
        reason = peer.missing()
        ways = [way for way in peer.ways if suite in way.suites]
        if reason or not ways:
            absent[peer.name] = reason or f"has no part in {suite}"
            continue
        for way in ways:
            try:
                ready[peer.name, way.name] = way.build(item, setting)
            except Exception as error:  # whatever another library raises
                absent[f"{peer.name} {way.name}"] = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return ready, absent
