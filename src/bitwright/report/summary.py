"""What each op of a graph holds and costs: weights, bits, bytes, density, operations; and the sums of these."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from bitwright.format import spec
from bitwright.format.writer import Blob, op_blobs, to_bytes
from bitwright.ir import ops
from bitwright.ir.ops import Graph, Kind, Op, TensorType
from bitwright.ir.verify import infer

COUNTING_RULE = (
    "For one image. bops: binary multiply-adds, output pixels x taps of a filter x filters, taps outside the image "
    "counted like the others; digits count twice, gated or not; a window sum is one filter a group. flops: "
    "multiply-adds of other convolutions and linear layers, counted in the same way. Pooling and elementwise ops are "
    "not counted. ops = bops / 64 + flops."
)

_BINARY = (ops.BinaryConv, ops.BinaryLinear)
_ENCODINGS = {
    (spec.F32, spec.RAW): "float32",
    (spec.F32, spec.TWO_LEVELS): "two levels",
    (spec.F32, spec.INT8): "int8",
    (spec.I16, spec.RAW): "int16",
    (spec.BITS, spec.RAW): "bitmap",
    (spec.BITS, spec.GAPS): "gaps",
    (spec.BITS, spec.ENTROPY): "entropy",
    (spec.BITS, spec.PATTERNS): "patterns",
    (spec.BITS, spec.HUFFMAN): "huffman",
}
_WEIGHTED = (*_BINARY, ops.Conv, ops.PixelConv, ops.Linear)


@dataclass(frozen=True)
class Layer:
    """One op of a graph.

    Attributes:
        name: The op's name.
        op: Its kind, the name of a class of `bitwright.ir.ops`.
        shape: Shape of one sample's output.
        density: Share of weight bits that are 1 (the upper level of a {-a, +a} weight, the rarer one of a general
            domain); None where the weights are not bits.
        weights: Number of weights of a convolution or linear layer, else 0.
        encoding: How the file holds them, as docs/format.md has it: "float32", "int16", "two levels", "int8",
            "bitmap", "gaps", "entropy", "patterns" or "huffman"; empty where there are none.
        bits_per_weight: Bits that the file spends on each; None where there are none.
        weight_bytes: Bytes of its weights in the file.
        bytes: Bytes of all its parameters in the file, tables and padding left out.
        bops: Binary multiply-adds, by the counting rule.
        flops: Real multiply-adds, by the counting rule.
        kernel: What computes it, as the engine names it; empty where no engine was asked.
        note: Why it stayed real-valued, or another remark of the lowering.
    """

    name: str
    op: str
    shape: tuple[int, ...]
    density: float | None
    weights: int
    encoding: str
    bits_per_weight: float | None
    weight_bytes: int
    bytes: int
    bops: int
    flops: int
    kernel: str
    note: str


@dataclass(frozen=True)
class Totals:
    """Sums over the layers: `bytes` of the whole file, `ops` bops/64 + flops.

    `density` and `bits_per_weight` are those of all binary weights, None where there are none. The file's bytes are
    those of binary weights, of real weights, of other parameters, and of tables, text and padding.
    """

    weights: int
    binary_weights: int
    real_weights: int
    density: float | None
    bits_per_weight: float | None
    bytes: int
    binary_weight_bytes: int
    real_weight_bytes: int
    parameter_bytes: int
    table_bytes: int
    bops: int
    flops: int
    ops: float


@dataclass(frozen=True)
class Summary:
    """A graph in numbers; `dataclasses.asdict` makes JSON of it.

    Attributes:
        bytes: Bytes of the whole file.
        layers: One for each op, in the order of the graph.
        totals: Their sums.
        counting_rule: How operations are counted.
    """

    bytes: int
    layers: tuple[Layer, ...]
    totals: Totals
    counting_rule: str = COUNTING_RULE


def summarize(graph: Graph, file_bytes: int | None = None, kernels: Mapping[str, str] | None = None) -> Summary:
    """Count what a graph holds and costs.

    OPs = BOPs / 64 + FLOPs.

    Args:
        graph: A well-formed graph.
        file_bytes: Bytes of its file; by default those that the writer would write.
        kernels: What computes each op, by its name, where an engine says so.

    Raises:
        GraphError: If the graph is not well-formed.

    Reference:
        Liu et al., "Bi-Real Net: Enhancing the Performance of 1-bit CNNs", ECCV 2018, for the division by 64.
    """
    types = infer(graph)
    kernels = kernels or {}
    layers = tuple(_layer(op, types, kernels.get(op.name, "")) for op in graph.ops)
    size = len(to_bytes(graph)) if file_bytes is None else file_bytes
    binary = [op for op in graph.ops if isinstance(op, _BINARY)]
    binary_weights = sum(op.weight.size for op in binary)
    of_binary = sum(layer.weight_bytes for layer in layers if layer.density is not None)
    names = ("weights", "weight_bytes", "bytes", "bops", "flops")
    weights, of_weights, of_ops, bops, flops = (sum(getattr(layer, name) for layer in layers) for name in names)
    totals = Totals(
        weights=weights,
        binary_weights=binary_weights,
        real_weights=weights - binary_weights,
        density=sum(int(op.weight.sum()) for op in binary) / binary_weights if binary else None,
        bits_per_weight=8 * of_binary / binary_weights if binary else None,
        bytes=size,
        binary_weight_bytes=of_binary,
        real_weight_bytes=of_weights - of_binary,
        parameter_bytes=of_ops - of_weights,
        table_bytes=size - of_ops,
        bops=bops,
        flops=flops,
        ops=bops / 64 + flops,
    )
    return Summary(size, layers, totals)


def _layer(op: Op, types: Mapping[str, TensorType], kernel: str) -> Layer:
    shape = types[op.name].shape
    weights = op.weight.size if isinstance(op, _WEIGHTED) else 0
    taken = types[op.inputs[0]]
    operations = _multiply_adds(op, taken.shape, shape) * (2 if taken.kind == Kind.DIGIT else 1)
    real = isinstance(op, ops.Conv | ops.PixelConv | ops.Linear)
    blobs = op_blobs(op)
    return Layer(
        name=op.name,
        op=type(op).__name__,
        shape=shape,
        density=int(op.weight.sum()) / weights if isinstance(op, _BINARY) else None,
        weights=weights,
        encoding=_ENCODINGS[blobs["weight"].dtype, blobs["weight"].encoding] if weights else "",
        bits_per_weight=_bits_per_weight(blobs["weight"]) if weights else None,
        weight_bytes=len(blobs["weight"].data) if weights else 0,
        bytes=sum(len(blob.data) for blob in blobs.values()),
        bops=0 if real else operations,
        flops=operations if real else 0,
        kernel=kernel,
        note=op.note,
    )


def _bits_per_weight(blob: Blob) -> float:
    """Bits of the encoding for each weight; the rest of a bitmap's last byte is not counted."""
    bitmap = (blob.dtype, blob.encoding) == (spec.BITS, spec.RAW)
    return 1.0 if bitmap else 8 * len(blob.data) / blob.elements


def _multiply_adds(op: Op, taken: tuple[int, ...], made: tuple[int, ...]) -> int:
    """Output pixels x taps x filters, of an op that makes one shape of another."""
    match op:
        case ops.Conv() | ops.PixelConv() | ops.BinaryConv() | ops.Linear() | ops.BinaryLinear():
            return prod(made) * prod(op.weight.shape[1:])
        case ops.WindowSum():
            return prod(made) * taken[0] // op.groups * prod(op.window.kernel)
        case _:
            return 0
