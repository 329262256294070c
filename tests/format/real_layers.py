"""Graphs of one real layer, for tests of how its weights are stored."""

import numpy as np

from bitwright.ir import ops
from bitwright.ir.ops import Graph, Kind, TensorType, Window


def layer(weight: np.ndarray) -> ops.Conv | ops.Linear:
    if weight.ndim == 2:
        return ops.Linear(name="y", inputs=("x",), weight=weight, bias=None)
    return ops.Conv(name="y", inputs=("x",), weight=weight, bias=None, window=Window((3, 3), padding=(1, 1)))


def graph_of(weight: np.ndarray) -> Graph:
    shape = weight.shape[1:] if weight.ndim == 2 else (weight.shape[1], 5, 7)
    return Graph("x", TensorType(Kind.REAL, shape), (layer(weight),), "y")
