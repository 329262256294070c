"""What the counting rules see of a network: the symbols of its binary weights, and its real layers."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np

from bitwright.ir import ops
from bitwright.ir.ops import Array, Graph, Kind, Op, TensorType
from bitwright.ir.verify import infer

_BINARY = (ops.BinaryConv, ops.BinaryLinear)
_REAL = (ops.Conv, ops.PixelConv, ops.Linear)


@dataclass(frozen=True, eq=False)
class BinaryWeights:
    """Weights of one binary layer.

    Attributes:
        name: The layer's.
        symbols: (out, in/groups, kh, kw) uint8: 0 where the weight holds the value that costs nothing, which is 0 or
            the commoner one; 1 where it holds the other; 2 for a third, where weights are exact zeros besides.
        pixels: Pixels of the output, over all its runs for one sample; 0 where real inputs make the products real.
        groups: Groups of the convolution.
        offset: Whether symbol 0 stands for another value than 0: one filter of ones corrects all sums.
        planes: Bits of an input.
    """

    name: str
    symbols: Array
    pixels: int
    groups: int = 1
    offset: bool = False
    planes: int = 1

    @property
    def kernel(self) -> int:
        """k*k, the weights of a kernel."""
        return prod(self.symbols.shape[2:])

    @property
    def channels(self) -> int:
        """c, the input channels of all groups."""
        return self.symbols.shape[1] * self.groups

    @property
    def readers(self) -> int:
        """f, the filters that read an input channel."""
        return len(self.symbols) // self.groups

    @property
    def ones(self) -> int:
        """How many weights hold another value than the one that costs nothing."""
        return int(np.count_nonzero(self.symbols))

    @property
    def levels(self) -> int:
        """How many values there are: 2, or 3 with exact zeros besides."""
        return 3 if self.symbols.max(initial=0) > 1 else 2

    @cached_property
    def kernel_counts(self) -> Array:
        """How often each distinct kernel occurs, in descending order."""
        rows = np.ascontiguousarray(self.symbols).reshape(-1, self.kernel)
        _, counts = np.unique(rows.view(f"V{self.kernel}"), return_counts=True)
        return np.sort(counts)[::-1]


@dataclass(frozen=True)
class RealLayer:
    """What a real-valued convolution or linear layer costs for one sample.

    Attributes:
        name: The layer's.
        products: Multiply-adds.
        convolution: Whether it is one.
        biases: How many it adds.
    """

    name: str
    products: int
    convolution: bool
    biases: int = 0


@dataclass(frozen=True)
class Parts:
    """What the rules see of a network.

    Attributes:
        binary: Its binary weights, by layer.
        real: Its real-valued convolutions and linear layers, in the order of the network.
        real_parameters: All other parameters: real weights, biases, thresholds, batch norms.
        real_bits: What these take, 32 bits each unless the file holds smaller integers.
    """

    binary: tuple[BinaryWeights, ...]
    real: tuple[RealLayer, ...]
    real_parameters: int
    real_bits: int

    @property
    def binary_weights(self) -> int:
        """M, over all layers."""
        return sum(layer.symbols.size for layer in self.binary)


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


def symbols_of(bits: Array, zero: bool) -> Array:
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


def _numbers(op: Op) -> list[Array]:
    """The arrays of an op other than binary weights."""
    binary = isinstance(op, _BINARY)
    return [value for name, value in vars(op).items() if isinstance(value, Array) and not (binary and name == "weight")]
