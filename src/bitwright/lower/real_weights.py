"""Real weights: those of real layers rounded to a grid of 255 numbers for each filter, a quarter of the bytes.

This changes results; the layers compute with float32 numbers as before.
"""

from dataclasses import dataclass, replace

from bitwright.format import int8
from bitwright.format.writer import op_blobs
from bitwright.ir import ops
from bitwright.ir.interpret import interpret
from bitwright.ir.ops import Array, Graph, Op
from bitwright.lower.compare import changes


@dataclass(frozen=True)
class RealWeightsReport:
    """What rounding the weights of real layers changes on the example.

    Args:
        layers: The layers whose weights were rounded.
        logits_relative: The largest change of an output, relative to the largest output.
        labels_differing: Samples whose largest output is another one.
    """

    layers: tuple[str, ...]
    logits_relative: float
    labels_differing: int


def round_real_weights(graph: Graph, x: Array) -> tuple[Graph, RealWeightsReport]:
    """A graph whose real convolutions and linear layers hold weights that a file stores as 8 bits each.

    Each weight becomes the nearest multiple of its filter's scale, about 1/127 of the filter's largest magnitude.
    Biases stay, and so do weights that take no fewer bytes that way, such as those of two levels a filter.

    Shape:
        x: (N, ...) what the graph takes.

    Args:
        graph: A verified graph.
        x: An example.
    """
    rounded = {op.name: _rounded(op) for op in graph.ops if isinstance(op, ops.Conv | ops.Linear)}
    found = replace(graph, ops=tuple(rounded.get(op.name, op) for op in graph.ops))
    layers = tuple(op.name for before, op in zip(graph.ops, found.ops, strict=True) if op is not before)
    return found, RealWeightsReport(layers, *changes(interpret(graph, x), interpret(found, x)))


def _rounded(op: ops.Conv | ops.Linear) -> Op:
    bytes_ = int8.size(op.weight.size, len(op.weight))
    if bytes_ >= len(op_blobs(op)["weight"].data):
        return op
    return replace(op, weight=int8.to_grid(op.weight))
