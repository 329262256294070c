"""PyTorch float32: as it is, in the faster of its two memory layouts, and compiled."""

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from bitwright.bench.item import Item, Setting, noise
from bitwright.bench.peer import Peer, Way, onednn_isa
from bitwright.bench.turns import Entrant, calls
from bitwright.ir import ops
from bitwright.report.timing import alternate

if TYPE_CHECKING:
    import torch
    from torch import nn


def torch_call(
    graph: ops.Graph, x: np.ndarray, threads: int, ready: "Callable[[nn.Module], nn.Module] | None" = None
) -> Callable[[], object]:
    """A call of the float32 network of a graph's shapes, in whichever memory layout PyTorch runs it faster.

    What makes it ready, such as a compiler, chooses layouts itself.

    Args:
        graph: The graph.
        x: The input it is called with.
        threads: How many threads PyTorch gets.
        ready: What else is done to the network before it runs, such as compiling it.
    """
    import torch

    from bitwright.interop.float_twin import float_twin

    torch.set_num_threads(threads)

    def call_in(layout: "torch.memory_format") -> Callable[[], object]:
        twin, sample = float_twin(graph), torch.from_numpy(x)
        if x.ndim == 4:
            twin.to(memory_format=layout)  # pyright: ignore[reportCallIssue]
            sample = sample.contiguous(memory_format=layout)
        net = twin if ready is None else ready(twin)

        def call() -> object:
            with torch.inference_mode():
                return net(sample)

        return call

    if ready is not None:
        return call_in(torch.contiguous_format)
    layouts = {"planar": call_in(torch.contiguous_format), "channels last": call_in(torch.channels_last)}
    timings = alternate(layouts, runs=5, warmup=2)
    return layouts[min(timings, key=lambda name: timings[name].median_ms)]


def _eager(item: Item, setting: Setting) -> Entrant:
    import torch

    x = noise(item.real.input_type, setting.batch)
    return Entrant(calls(torch_call(item.real, x, setting.threads)), onednn_isa(), torch.__version__)


def _compiled(item: Item, setting: Setting) -> Entrant:
    import torch

    def ready(net: "nn.Module") -> "nn.Module":
        # no cache: code kept from a run under another limit of instructions crashes
        return torch.compile(net, options={"freezing": True, "fx_graph_cache": False})  # pyright: ignore[reportReturnType]

    x = noise(item.real.input_type, setting.batch)
    torch._dynamo.reset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the compiler, about itself
        call = torch_call(item.real, x, setting.threads, ready)
    return Entrant(calls(call), onednn_isa(), torch.__version__)


PEER = Peer("torch", ("torch",), (Way("float32", _eager), Way("compiled", _compiled, ("networks",))))
