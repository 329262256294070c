"""`bw bench`: how long a packed file takes, against PyTorch float32 in the same run if wanted."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any, Literal

import numpy as np
from tyro.conf import arg

from bitwright.cli.arguments import Json, NetworkFile
from bitwright.cli.networks import open_network
from bitwright.cli.output import milliseconds, need, only_json, print_json, print_table
from bitwright.ir import ops
from bitwright.report.timing import Timing, alternate, describe_machine


def bench(
    file: NetworkFile,
    /,
    *,
    against: Annotated[Literal["torch"] | None, arg(metavar="torch", help_behavior_hint="")] = None,
    threads: int = 1,
    batch: int = 1,
    runs: int = 50,
    warmup: int = 5,
    json: Json = False,
) -> None:
    """Time a packed file, alone or in turn with PyTorch.

    PyTorch runs the float32 network of the same shapes: ordinary convolutions, batch norm folded into them, hardtanh
    for the signs, in the faster of its two memory layouts. The ratio is that of the medians.

    Example: bw bench net.bw --against torch --threads 1

    Args:
        file: The packed network.
        against: What to measure in turn with it.
        threads: How many threads each of them gets.
        batch: Images in one call.
        runs: Measurements of each.
        warmup: Calls of each before the first measurement.
        json: Print one JSON object instead of a table.
    """
    if batch < 1:
        raise ValueError(f"--batch must be at least 1, found {batch}")
    if against == "torch":
        need("torch", "train", "bw bench --against torch")
    with only_json(json):
        network = open_network(file, threads=threads)
        x = random_input(network.graph.input_type, batch)
        calls: dict[str, Callable[[], object]] = {"bitwright": lambda: network.run(x)}
        if against == "torch":
            calls["torch"] = torch_call(network.graph, x, threads)
        timings = alternate(calls, runs=runs, warmup=warmup)
    peer, machine = timings.get("torch"), describe_machine()
    if json:
        result: dict[str, Any] = {name: asdict(timing) for name, timing in timings.items()}
        if peer is not None:
            result["ratio"] = peer.median_ms / timings["bitwright"].median_ms
        print_json({**result, "threads": threads, "batch": batch, **asdict(machine)})
        return
    title = f"{file}: batch {batch}, {threads} thread{'s' if threads > 1 else ''}, {machine.cpu}"
    rows = [_row(name, timing, batch) for name, timing in timings.items()]
    print_table(title, ["", "median", "minimum", "median an image", "runs"], rows, "lrrrr")
    if peer is not None:
        print(f"PyTorch float32 takes {peer.median_ms / timings['bitwright'].median_ms:.2f} times as long.")


def random_input(kind_and_shape: ops.TensorType, batch: int) -> np.ndarray:
    """A batch of noise that a network takes.

    Args:
        kind_and_shape: The type of its input.
        batch: How many samples.
    """
    random = np.random.default_rng(0)
    shape = (batch, *kind_and_shape.shape)
    if kind_and_shape.kind == ops.Kind.PIXEL:
        return random.integers(0, 256, shape, dtype=np.uint8)
    return random.standard_normal(shape, dtype=np.float32)


def torch_call(graph: ops.Graph, x: np.ndarray, threads: int) -> Callable[[], object]:
    """A call of the float32 network of a graph's shapes, in whichever memory layout PyTorch runs it faster.

    Args:
        graph: The graph.
        x: The input it is called with.
        threads: How many threads PyTorch gets.
    """
    import torch

    from bitwright.interop.float_twin import float_twin

    torch.set_num_threads(threads)

    def call_in(layout: torch.memory_format) -> Callable[[], object]:
        twin, sample = float_twin(graph), torch.from_numpy(x)
        if x.ndim == 4:
            twin.to(memory_format=layout)  # pyright: ignore[reportCallIssue]
            sample = sample.contiguous(memory_format=layout)

        def call() -> object:
            with torch.inference_mode():
                return twin(sample)

        return call

    layouts = {"planar": call_in(torch.contiguous_format), "channels last": call_in(torch.channels_last)}
    timings = alternate(layouts, runs=5, warmup=2)
    return layouts[min(timings, key=lambda name: timings[name].median_ms)]


def _row(name: str, timing: Timing, batch: int) -> list[str]:
    label = {"torch": "PyTorch float32"}.get(name, name)
    times = [timing.median_ms, timing.min_ms, timing.median_ms / batch]
    return [label, *map(milliseconds, times), str(timing.runs)]
