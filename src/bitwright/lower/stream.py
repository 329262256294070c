"""Stream: keep the real values that wait for a sum as fixed-point numbers of 16 bits, half the memory to move.

This changes results: each value is rounded to a multiple of 2^-fraction, which is chosen on an example.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from bitwright.ir import ops
from bitwright.ir.interpret import interpret
from bitwright.ir.limits import MAX_FRACTION
from bitwright.ir.ops import Graph, Op
from bitwright.ir.verify import infer, verify
from bitwright.lower.compare import changes

LEAST_BYTES = 1 << 18  # as float32: smaller maps stay in the cache, where rounding costs more than moving
ROOM = 2.0  # the largest value of the example may be exceeded so many times before it saturates
LARGEST = 32767


@dataclass(frozen=True)
class StreamReport:
    """What a fixed-point stream changes on the example.

    Args:
        fractions: Bits behind the point, by the name of the tensor.
        logits_relative: The largest change of an output, relative to the largest output.
        labels_differing: Samples whose largest output is another one.
    """

    fractions: dict[str, int]
    logits_relative: float
    labels_differing: int


def fixed_stream(graph: Graph, x: np.ndarray) -> tuple[Graph, StreamReport]:
    """A graph whose shortcuts carry fixed-point numbers where maps are large.

    Of the two operands of each Add, the one that is made first waits in memory. A FixedPoint behind it serves all its
    readers but the signs, which go on comparing the value that was not rounded.

    Shape:
        x: (N, ...) what the graph takes.

    Args:
        graph: A verified graph.
        x: An example: the largest magnitudes found on it, twice over, must fit.
    """
    waiting = _waiting(graph)
    tensors = interpret(graph, x, keep={*waiting, graph.output})
    fractions = {name: _fraction(tensors[name]) for name in waiting}
    fixed = {name: f"{name}.fixed" for name in waiting}
    changed: list[Op] = []
    for op in graph.ops:
        if isinstance(op, ops.Binarize | ops.Quantize):
            changed.append(op)
        else:
            changed.append(replace(op, inputs=tuple(fixed.get(name, name) for name in op.inputs)))
        if op.name in fixed:
            changed.append(ops.FixedPoint(name=fixed[op.name], inputs=(op.name,), fraction=fractions[op.name]))
    result = replace(graph, ops=tuple(changed))
    verify(result)
    return result, StreamReport(fractions, *changes(tensors[graph.output], interpret(result, x)))


def _waiting(graph: Graph) -> list[str]:
    made = {op.name: position for position, op in enumerate(graph.ops)}
    real = {op.name for op in graph.ops} - {graph.output}
    first = {min(op.inputs, key=lambda name: made.get(name, -1)) for op in graph.ops if isinstance(op, ops.Add)}
    types = infer(graph)
    names = [op.name for op in graph.ops if op.name in first & real and types[op.name].kind == ops.Kind.REAL]
    return [name for name in names if 4 * math.prod(types[name].shape) >= LEAST_BYTES]


def _fraction(values: np.ndarray) -> int:
    largest = max(float(np.abs(values).max()) * ROOM, LARGEST / 2.0**MAX_FRACTION)
    return int(np.clip(np.floor(np.log2(LARGEST / largest)), 0, MAX_FRACTION))
