"""Graphs of one real layer, for tests of how its weights are stored."""

import numpy as np

from bitwright import _native
from bitwright.format.reader import from_bytes
from bitwright.format.writer import to_bytes
from bitwright.ir import ops
from bitwright.ir.interpret import interpret
from bitwright.ir.ops import Graph, Kind, TensorType, Window


def layer(weight: np.ndarray) -> ops.Conv | ops.Linear:
    if weight.ndim == 2:
        return ops.Linear(name="y", inputs=("x",), weight=weight, bias=None)
    return ops.Conv(name="y", inputs=("x",), weight=weight, bias=None, window=Window((3, 3), padding=(1, 1)))


def graph_of(weight: np.ndarray) -> Graph:
    shape = weight.shape[1:] if weight.ndim == 2 else (weight.shape[1], 5, 7)
    return Graph("x", TensorType(Kind.REAL, shape), (layer(weight),), "y")


def check_file_of(weight: np.ndarray, rng: np.random.Generator) -> ops.Conv | ops.Linear:
    """A weight comes back from its file bit for bit, and every engine computes with it; the op that was read."""
    graph = graph_of(weight)
    file = to_bytes(graph)
    (op,) = from_bytes(file).ops
    assert isinstance(op, ops.Conv | ops.Linear)
    assert op.weight.tobytes() == weight.tobytes()
    x = rng.standard_normal((2, *graph.input_type.shape)).astype(np.float32)
    for isa in _native.available_isas():
        engine = _native.Engine(file, isa=isa)
        y = np.empty((2, *engine.output_shape), np.float32)
        engine.run(x, y)
        with np.errstate(over="ignore", invalid="ignore"):
            np.testing.assert_array_equal(y, interpret(graph, x))
    return op
