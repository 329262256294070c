"""What the counting rules see of a graph."""

from collections.abc import Mapping
from math import prod

import numpy as np

from bitwright.ir import ops
from bitwright.ir.ops import Graph, Kind, Op, TensorType
from bitwright.ir.rules import BinaryWeights, Parts, RealLayer
from bitwright.ir.verify import infer

_BINARY = (ops.BinaryConv, ops.BinaryLinear)
_REAL = (ops.Conv, ops.PixelConv, ops.Linear)


def parts_of_graph(graph: Graph) -> Parts:
    """What a graph is made of.

    Weights of exact zeros besides two values are two binary layers, as in the file, and binary weights of real inputs
    are real ones. Digits have two bits. Real bits are those of the arrays as they are.

    Args:
        graph: A well-formed graph.

    Raises:
        GraphError: If it is not.
    """
    types = infer(graph)
    corrected = {op.inputs[0] for op in graph.ops if isinstance(op, ops.LevelSum) and op.low.any()}
    others = [array for op in graph.ops for array in _numbers(op)]
    return Parts(
        binary=tuple(_binary(op, types, corrected) for op in graph.ops if isinstance(op, _BINARY)),
        real=tuple(_real(op, types) for op in graph.ops if isinstance(op, _REAL)),
        real_parameters=sum(array.size for array in others),
        real_bits=sum(array.size * (1 if array.dtype == np.bool_ else 8 * array.itemsize) for array in others),
    )


def symbols_of(bits: np.ndarray, zero: bool) -> np.ndarray:
    """Bits of a weight as the rules take them: 1 for the rarer value, or, where the value of bit 0 is 0, for the other.

    Shape:
        bits: (out, in/groups, kh, kw) or (out, in), bool; the result (out, in/groups, kh, kw) uint8.

    Args:
        bits: Which of two values a weight holds.
        zero: Whether the value of bit 0 is 0.
    """
    rarer = bits if zero or 2 * np.count_nonzero(bits) <= bits.size else ~bits
    return rarer.astype(np.uint8).reshape(*bits.shape, *[1] * (4 - bits.ndim))


def _binary(
    op: ops.BinaryConv | ops.BinaryLinear, types: Mapping[str, TensorType], corrected: set[str]
) -> BinaryWeights:
    offset = op.signed or op.name in corrected
    return BinaryWeights(
        name=op.name,
        symbols=symbols_of(op.weight, zero=not offset),
        pixels=prod(types[op.name].shape[1:]),
        groups=op.groups if isinstance(op, ops.BinaryConv) else 1,
        offset=offset,
        planes=2 if types[op.inputs[0]].kind == Kind.DIGIT else 1,
    )


def _real(op: ops.Conv | ops.PixelConv | ops.Linear, types: Mapping[str, TensorType]) -> RealLayer:
    bias = getattr(op, "bias", None)
    return RealLayer(
        name=op.name,
        products=prod(types[op.name].shape) * prod(op.weight.shape[1:]),
        convolution=not isinstance(op, ops.Linear),
        biases=0 if bias is None else bias.size,
    )


def _numbers(op: Op) -> list[np.ndarray]:
    """The arrays of an op other than binary weights."""
    binary = isinstance(op, _BINARY)
    return [
        value for name, value in vars(op).items() if isinstance(value, np.ndarray) and not (binary and name == "weight")
    ]
