"""First layer: the convolution of the pixels in integers.

This changes results: weights become integers of 16 bits, with one scale a filter.
"""

from dataclasses import dataclass, replace

import numpy as np

from bitwright.errors import LoweringError
from bitwright.ir import ops
from bitwright.ir.interpret import interpret
from bitwright.ir.limits import MAX_PIXEL_WEIGHTS
from bitwright.ir.ops import Array, Graph, Op
from bitwright.ir.verify import verify
from bitwright.ir.windows import class_starts, outputs_inside
from bitwright.lower.compare import changes

LARGEST = 32767


@dataclass(frozen=True)
class FirstLayerReport:
    """What a first layer in integers changes on the example.

    Args:
        name: The convolution.
        logits_relative: The largest change of an output, relative to the largest output.
        labels_differing: Samples whose largest output is another one.
    """

    name: str
    logits_relative: float
    labels_differing: int


def integer_first_layer(graph: Graph, x: Array) -> tuple[Graph, FirstLayerReport]:
    """A graph in which one PixelConv is the normalisation of the pixels, the convolution and the batch norm behind it.

    With pixels p, p * a + b normalised, and y * s + t behind the convolution, a weight w counts as w * a * s; the shift
    is t + s * (bias + the sum of w * b over the taps inside the image). All of this is computed in float64; then each
    weight is rounded to a multiple of its filter's scale, the smallest for which sums fit 32 bits and weights 16.

    Shape:
        x: (N, C, H, W) uint8.

    Args:
        graph: A verified graph.
        x: An example.

    Raises:
        LoweringError: If the graph does not begin with the normalisation of pixels and a convolution of one group.
    """
    normalize, conv, norm = _first_ops(graph)
    s = np.ones(len(conv.weight)) if norm is None else norm.scale.astype(np.float64)
    weight = conv.weight * s[:, None, None, None] * normalize.scale.astype(np.float64)[:, None, None]
    integers, scale = _round(weight)
    fused = ops.PixelConv(
        name=conv.name,
        inputs=normalize.inputs,
        weight=integers,
        scale=scale,
        shift=_shift(graph, normalize, conv, norm),
        window=conv.window,
        note=conv.note,
    )
    last = conv if norm is None else norm
    rest = (op for op in graph.ops if op not in (normalize, conv, norm))
    renamed = (replace(op, inputs=tuple(conv.name if i == last.name else i for i in op.inputs)) for op in rest)
    output = conv.name if graph.output == last.name else graph.output
    result = replace(graph, ops=(fused, *renamed), output=output)
    verify(result)
    return result, FirstLayerReport(conv.name, *changes(interpret(graph, x), interpret(result, x)))


def _first_ops(graph: Graph) -> tuple[ops.Affine, ops.Conv, ops.Affine | None]:
    """The normalisation, the convolution, and the Affine behind it if nothing else reads the convolution."""
    (normalize, *others) = _readers(graph, graph.input)
    if graph.input_type.kind != ops.Kind.PIXEL or others or not isinstance(normalize, ops.Affine):
        raise _refusal(graph.input, "the normalisation of pixels", [normalize, *others])
    readers = _readers(graph, normalize.name)
    if len(readers) != 1 or not isinstance(conv := readers[0], ops.Conv) or conv.groups != 1:
        raise _refusal(normalize.name, "a convolution of one group", readers)
    readers = _readers(graph, conv.name)
    alone = len(readers) == 1 and isinstance(readers[0], ops.Affine) and conv.name != graph.output
    return normalize, conv, readers[0] if alone else None  # pyright: ignore[reportReturnType]


def _readers(graph: Graph, name: str) -> list[Op]:
    return [op for op in graph.ops if name in op.inputs]


def _refusal(name: str, expected: str, readers: list[Op]) -> LoweringError:
    found = ", ".join(f"{op.name} ({type(op).__name__})" for op in readers) or "nothing"
    return LoweringError(
        f"first_layer='int16': expected that {expected} alone reads {name!r}, found {found}. "
        "Export with first_layer='float32'."
    )


def _round(weight: Array) -> tuple[Array, Array]:
    """Integers of 16 bits, and the scale of each filter, float32: weight is about integers * scale."""
    filters = np.abs(weight).reshape(len(weight), -1)
    room = MAX_PIXEL_WEIGHTS - filters.shape[1] / 2  # rounding adds half to each magnitude at most
    scale = np.maximum(filters.max(1) / LARGEST, filters.sum(1) / room).astype(np.float32)
    scale = np.maximum(np.nextafter(scale, np.float32(np.inf)), np.finfo(np.float32).tiny)
    return np.rint(weight / scale[:, None, None, None]).astype(np.int16), scale


def _shift(graph: Graph, normalize: ops.Affine, conv: ops.Conv, norm: ops.Affine | None) -> Array:
    """(out, classes of rows, classes of columns)."""
    size = graph.input_type.shape[1:]
    inside = []  # of each axis, (classes, taps)
    for axis in (0, 1):
        starts = class_starts(conv.window, axis, size[axis])
        taps = [outputs_inside(conv.window, axis, tap, size[axis]) for tap in range(conv.window.kernel[axis])]
        inside.append(np.array([[start in tap for tap in taps] for start in starts], np.float64))
    shift = np.zeros((len(conv.weight), *(len(found) for found in inside)))
    if normalize.shift is not None:
        shift += np.einsum("ncyx,c,ry,sx->nrs", conv.weight.astype(np.float64), normalize.shift, *inside)
    if conv.bias is not None:
        shift += conv.bias[:, None, None]
    if norm is not None:
        shift *= norm.scale.astype(np.float64)[:, None, None]
        shift += 0 if norm.shift is None else norm.shift[:, None, None]
    return shift.astype(np.float32)
