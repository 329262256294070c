"""Our side: the native engine, timed by the call or, for one layer, by its own clock."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from bitwright.bench.item import Setting, noise
from bitwright.bench.turns import Round, calls
from bitwright.format.writer import write
from bitwright.ir.ops import Graph
from bitwright.runtime.engine import Engine


@dataclass(frozen=True)
class Ours:
    """Our engine with one graph.

    Attributes:
        round: Takes some measurements.
        isa: The instruction set in use.
        kernel: The routine of the layer that is timed; nothing for a network.
        bytes: Size of the packed file.
    """

    round: Round
    isa: str
    kernel: str
    bytes: int


def our_engine(graph: Graph, layer: str | None, setting: Setting, isa: str | None = None) -> Ours:
    """Pack a graph and load it.

    A layer is timed as the engine runs it inside a network: all preparation of its input and the threshold included.

    Args:
        graph: What to run.
        layer: The op that alone is timed; None for the whole run.
        setting: Threads and batch; 1 and 1 for a layer.
        isa: An instruction set by name; by default BITWRIGHT_ISA of the environment, else the best.

    Raises:
        ValueError: If the instruction set is not there, or a layer is to run on more than one thread or sample.
    """
    if layer is not None and setting != Setting():
        raise ValueError(
            f"layers are timed one sample at a time on one thread, found batch {setting.batch} on {setting.threads}"
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "item.bw"
        write(graph, path)
        size = path.stat().st_size
        engine = Engine(path, threads=setting.threads, isa=isa)
    x = noise(graph.input_type, setting.batch)
    if layer is None:
        return Ours(calls(lambda: engine(x)), engine.isa, "", size)

    number, step = next((i, step) for i, step in enumerate(engine.layers()) if step.name == layer)
    if "bits" not in step.fused:
        raise RuntimeError("the engine no longer runs a threshold with its layer; this suite times one step")

    def measure(runs: int) -> tuple[float, float]:
        time = engine.profile(x, runs=runs)[number]
        return time.median_us / 1e3, time.min_us / 1e3

    return Ours(measure, engine.isa, step.kernel, size)
