"""The meaning of every op, in NumPy. Integers are exact, and float32 operations come in one stated order.

NumPy neither fuses a multiply with an add nor reorders elementwise float32 operations, so the order written here is the
order computed. Matrix products, whose order is the library's, are used for integers only, which float32 holds exactly.
"""

from collections.abc import Collection, Iterator, Sequence
from functools import singledispatch
from math import prod
from typing import Literal, overload

import numpy as np

from bitwright.ir import functions, ops
from bitwright.ir.ops import Array, Graph, Kind, Op, TensorType, Window
from bitwright.ir.verify import infer
from bitwright.ir.windows import class_starts, output_size, outputs_inside

LANES = 16  # partial sums of `Linear` and `Mean`


@overload
def interpret(graph: Graph, x: Array, keep: None = None) -> Array: ...
@overload
def interpret(graph: Graph, x: Array, keep: Literal["all"] | Collection[str]) -> dict[str, Array]: ...
def interpret(graph: Graph, x: Array, keep: Literal["all"] | Collection[str] | None = None) -> Array | dict[str, Array]:
    """Run a graph on a batch.

    REAL tensors are float32, PIXEL uint8, SUM int32, SIGN and BIT bool (of a SIGN, true means +1), DIGIT uint8 (codes).

    Shape:
        x: (N, *graph.input_type.shape), float32, or uint8 for pixels. Output: (N, *shape of the output), float32.

    Args:
        graph: A graph that `verify` accepts.
        x: The batch.
        keep: Nothing for the output alone; "all", or names of tensors, for a dictionary of these.

    Raises:
        GraphError: If the graph does not hold together.
        ValueError: If x has another shape, or `keep` names what is not there.
        TypeError: If x is not a NumPy array of the graph's dtype.
    """
    types = infer(graph)
    check_batch(x, graph.input_type)
    kept = () if keep is None else types if keep == "all" else keep
    for name in kept:
        if name not in types:
            raise ValueError(f"keep: expected names of tensors of the graph, found {name!r}.")
    last_use = {name: position for position, op in enumerate(graph.ops) for name in op.inputs}
    tensors: dict[str, Array] = {graph.input: x}
    result: dict[str, Array] = {name: x for name in kept if name == graph.input}
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):  # infinities and NaN pass through, silently
        for position, op in enumerate(graph.ops):
            kinds = [types[name].kind for name in op.inputs]
            y = evaluate(op, kinds, *(tensors[name] for name in op.inputs))
            tensors[op.name] = y
            if op.name in kept:
                result[op.name] = y
            for name in set(op.inputs):
                if last_use[name] == position and name != graph.output:
                    del tensors[name]
    return tensors[graph.output] if keep is None else result


def check_batch(x: Array, expected: TensorType) -> None:
    """Check that x is a batch of what a graph takes.

    Shape:
        x: (N, *expected.shape), float32, or uint8 for pixels.

    Raises:
        ValueError: If the shape is another one.
        TypeError: If x is not a NumPy array, or of another dtype.
    """
    if not isinstance(x, np.ndarray):
        raise TypeError(f"The input: expected a NumPy array, found {type(x).__name__}. Convert it with numpy.asarray.")
    dtype = input_dtype(expected.kind)
    if x.dtype != dtype:
        what = " (pixels, not normalised)" if expected.kind == Kind.PIXEL else ""
        raise TypeError(f"The input: expected {dtype}{what}, found {x.dtype}. Convert it with x.astype(numpy.{dtype}).")
    if x.shape[1:] != expected.shape or x.ndim != len(expected.shape) + 1:
        shape = ", ".join(str(n) for n in ("N", *expected.shape))
        advice = " Add the batch dimension: x[None]." if x.shape == expected.shape else ""
        raise ValueError(f"The input: expected the shape ({shape}), found {x.shape}.{advice}")


def input_dtype(kind: Kind) -> np.dtype:
    """The dtype of a graph's input: uint8 for pixels, else float32."""
    return np.dtype(np.uint8 if kind == Kind.PIXEL else np.float32)


@singledispatch
def evaluate(op: Op, kinds: Collection[Kind], *inputs: Array) -> Array:
    """One op on one batch, given its inputs and their kinds.

    Shape:
        inputs: (N, *shape of the input) each. Output: (N, *shape of the output).

    Raises:
        NotImplementedError: If the op has no meaning here.
    """
    raise NotImplementedError(f"{op.name}: {type(op).__name__} has no meaning in the interpreter.")


@evaluate.register
def _(op: ops.Affine, kinds: list[Kind], x: Array) -> Array:
    y = x.astype(np.float32) * _per_channel(op.scale, x)
    return y if op.shift is None else y + _per_channel(op.shift, x)


@evaluate.register
def _(op: ops.LevelSum, kinds: list[Kind], acc: Array, window_sum: Array) -> Array:
    sums = np.repeat(window_sum.astype(np.float32), acc.shape[1] // window_sum.shape[1], axis=1)
    y = _per_channel(op.step, acc) * acc.astype(np.float32) + _per_channel(op.low, acc) * sums
    return y if op.shift is None else y + _per_channel(op.shift, acc)


@evaluate.register
def _(op: ops.Add, kinds: list[Kind], a: Array, b: Array) -> Array:
    return a + _spread(b, a)


@evaluate.register
def _(op: ops.Multiply, kinds: list[Kind], a: Array, b: Array) -> Array:
    return a * _spread(b, a)


@evaluate.register
def _(op: ops.Sigmoid, kinds: list[Kind], x: Array) -> Array:
    return functions.sigmoid(x)


@evaluate.register
def _(op: ops.Tanh, kinds: list[Kind], x: Array) -> Array:
    return functions.tanh(x)


@evaluate.register
def _(op: ops.Shift, kinds: list[Kind], x: Array) -> Array:
    return x + op.values[:, op.rows[:, None], op.columns]


@evaluate.register
def _(op: ops.PReLU, kinds: list[Kind], x: Array) -> Array:
    return np.where(x > 0, x, _per_channel(op.slope, x) * x)


@evaluate.register
def _(op: ops.Clamp, kinds: list[Kind], x: Array) -> Array:
    low, high = np.float32(op.low), np.float32(op.high)
    y = np.where(x > low, x, low)  # as written, so that zeros of either sign and NaN have one outcome
    return np.where(y < high, y, high)


@evaluate.register
def _(op: ops.FixedPoint, kinds: list[Kind], x: Array) -> Array:
    whole = np.float32(3 << 22)  # near it float32 holds integers only: adding it rounds
    y = x * np.float32(2**op.fraction)
    y = np.where(y > -32768, y, np.float32(-32768))
    y = np.where(y < 32767, y, np.float32(32767))
    return ((y + whole) - whole) * np.float32(0.5**op.fraction)


@evaluate.register
def _(op: ops.Binarize, kinds: list[Kind], x: Array) -> Array:
    return x >= _per_channel(op.threshold, x)


@evaluate.register
def _(op: ops.Quantize, kinds: list[Kind], x: Array) -> Array:
    reached = [(x >= _per_channel(threshold, x)).astype(np.uint8) for threshold in op.thresholds]
    return reached[0] + reached[1] + reached[2]


@evaluate.register
def _(op: ops.Threshold, kinds: list[Kind], x: Array) -> Array:
    return (x >= _per_channel(op.threshold, x)) != _per_channel(op.flip, x)


@evaluate.register
def _(op: ops.Decode, kinds: list[Kind], x: Array) -> Array:
    return _values(x, kinds[0])


@evaluate.register
def _(op: ops.Conv, kinds: list[Kind], x: Array) -> Array:
    n, channels, *size = x.shape
    pixels = output_size(op.window, *size)
    x = x.reshape(n, op.groups, 1, channels // op.groups, *size)
    weight = op.weight.reshape(op.groups, -1, *op.weight.shape[1:])  # (groups, out/groups, in/groups, kh, kw)
    acc = np.zeros((n, *weight.shape[:2], *pixels), np.float32)
    for channel in range(channels // op.groups):
        for (ky, kx), inside, taps in _taps(op.window, size, pixels):
            acc[..., *inside] += weight[:, :, channel, ky, kx, None, None] * x[:, :, :, channel, *taps]
    y = acc.reshape(n, op.weight.shape[0], *pixels)
    return y if op.bias is None else y + _per_channel(op.bias, y)


@evaluate.register
def _(op: ops.PixelConv, kinds: list[Kind], x: Array) -> Array:
    size = x.shape[2:]
    pixels = output_size(op.window, *size)
    weight = op.weight.reshape(1, len(op.weight), -1).astype(np.float64)
    acc = np.empty((len(x), len(op.weight), prod(pixels)), np.float32)
    for image, values in zip(acc, x.astype(np.float32), strict=True):
        image[...] = weight[0] @ _columns(values, op.window, 1)[0]  # exact: integers of less than 2^31 in float64
    y = acc.reshape(*acc.shape[:2], *pixels) * _per_channel(op.scale, x)
    if op.shift is None:
        return y
    rows, columns = (
        np.searchsorted(class_starts(op.window, axis, size[axis]), np.arange(pixels[axis]), side="right") - 1
        for axis in (0, 1)
    )
    return y + op.shift[:, rows[:, None], columns]


@evaluate.register
def _(op: ops.Thermometer, kinds: list[Kind], x: Array) -> Array:
    bits = x[:, :, None] >= op.thresholds[:, None, None]  # (N, C, B, H, W)
    return bits.reshape(len(x), -1, *x.shape[2:])


@evaluate.register
def _(op: ops.BinaryConv, kinds: list[Kind], x: Array) -> Array:
    if op.gate is not None:
        high, low = (_convolve_bits(op, Kind.SIGN, plane) for plane in (x >= 2, x % 2 == 1))
        return 2 * high + np.where(high >= _per_channel(op.gate, high), low, 0)
    return _convolve_bits(op, kinds[0], x)


def _convolve_bits(op: ops.BinaryConv, kind: Kind, x: Array) -> Array:
    weight = _values(op.weight, Kind.SIGN if op.signed else Kind.BIT)
    weight = weight.reshape(op.groups, weight.shape[0] // op.groups, -1)
    pixels = output_size(op.window, *x.shape[2:])
    acc = np.empty((x.shape[0], op.groups, weight.shape[1], prod(pixels)), np.int32)
    for image, values in zip(acc, _values(x, kind), strict=True):
        image[...] = weight @ _columns(values, op.window, op.groups)  # exact: integers of at most 2^24
    return acc.reshape(x.shape[0], op.weight.shape[0], *pixels)


@evaluate.register
def _(op: ops.WindowSum, kinds: list[Kind], x: Array) -> Array:
    values = _values(x, kinds[0]).astype(np.int32)
    if x.ndim == 2:
        return values.sum(axis=1, keepdims=True, dtype=np.int32)
    n, channels, *size = x.shape
    pixels = output_size(op.window, *size)
    planes = values.reshape(n, op.groups, channels // op.groups, *size).sum(axis=2, dtype=np.int32)
    acc = np.zeros((n, op.groups, *pixels), np.int32)
    for _, inside, taps in _taps(op.window, size, pixels):
        acc[..., *inside] += planes[..., *taps]
    return acc


@evaluate.register
def _(op: ops.Linear, kinds: list[Kind], x: Array) -> Array:
    n, features = x.shape
    lanes = np.zeros((n, op.weight.shape[0], LANES), np.float32)
    for k in range(0, features, LANES):
        part = op.weight[:, k : k + LANES] * x[:, None, k : k + LANES]
        lanes[..., : part.shape[-1]] += part
    y = _fold(lanes)
    return y if op.bias is None else y + op.bias


@evaluate.register
def _(op: ops.BinaryLinear, kinds: list[Kind], x: Array) -> Array:
    acc = _values(x, kinds[0]) @ _values(op.weight, Kind.SIGN if op.signed else Kind.BIT).T
    return acc.astype(np.int32)  # exact: integers of at most 2^24


@evaluate.register
def _(op: ops.MaxPool, kinds: list[Kind], x: Array) -> Array:
    n, channels, *size = x.shape
    pixels = output_size(op.window, *size)
    y = np.zeros((n, channels, *pixels), x.dtype)
    seen = np.zeros(pixels, np.bool_)
    falling = _per_channel(np.zeros(channels, np.bool_) if op.take_min is None else op.take_min, x)
    for _, inside, taps in _taps(op.window, size, pixels):
        new, old = x[..., *taps], y[..., *inside]
        better = np.where(falling, new < old, new > old) | ~seen[inside]
        y[..., *inside] = np.where(better, new, old)
        seen[inside] = True
    return y


@evaluate.register
def _(op: ops.AvgPool, kinds: list[Kind], x: Array) -> Array:
    n, channels, *size = x.shape
    pixels = output_size(op.window, *size)
    total = np.zeros((n, channels, *pixels), np.float32)
    count = np.full(pixels, prod(op.window.kernel) if op.count_padding else 0, np.float32)
    for _, inside, taps in _taps(op.window, size, pixels):
        total[..., *inside] += x[..., *taps]
        if not op.count_padding:
            count[inside] += 1
    return total / count


@evaluate.register
def _(op: ops.Mean, kinds: list[Kind], x: Array) -> Array:
    n, channels, *size = x.shape
    pixels = x.reshape(n, channels, prod(size))
    lanes = np.zeros((n, channels, LANES), np.float32)
    for k in range(0, prod(size), LANES):
        part = pixels[..., k : k + LANES]
        lanes[..., : part.shape[-1]] += part
    return (_fold(lanes) / np.float32(prod(size))).reshape(n, channels, 1, 1)


@evaluate.register
def _(op: ops.Flatten, kinds: list[Kind], x: Array) -> Array:
    return x.reshape(x.shape[0], prod(x.shape[1:]))


@evaluate.register
def _(op: ops.PadChannels, kinds: list[Kind], x: Array) -> Array:
    return np.pad(x, ((0, 0), (op.before, op.after), *[(0, 0)] * (x.ndim - 2)))


@evaluate.register
def _(op: ops.Concat, kinds: list[Kind], *inputs: Array) -> Array:
    return np.concatenate(inputs, axis=1)


@evaluate.register
def _(op: ops.Channels, kinds: list[Kind], x: Array) -> Array:
    return x[:, op.index]


@evaluate.register
def _(op: ops.Unflatten, kinds: list[Kind], x: Array) -> Array:
    return x.reshape(x.shape[0], x.shape[1] // (op.height * op.width), op.height, op.width)


def _spread(b: Array, a: Array) -> Array:
    """The second operand of a sum or product in a shape that meets the first's, (N, C, ...)."""
    return b if b.ndim == a.ndim else b[:, :, None, None]


def _per_channel(values: Array, x: Array) -> Array:
    """Values (C,) in a shape that meets x, (N, C, ...), channel by channel."""
    return values.reshape(-1, *[1] * (x.ndim - 2))


def _values(bits: Array, kind: Kind) -> Array:
    """What bits, or the codes of digits, mean in float32."""
    values = bits.astype(np.float32)
    return 2 * values - 1 if kind == Kind.SIGN else 2 * values - 3 if kind == Kind.DIGIT else values


def _fold(lanes: Array) -> Array:
    """Sum 16 lanes, (..., 16) -> (...): each time the upper half is added to the lower."""
    while (half := lanes.shape[-1] // 2) > 0:
        lanes = lanes[..., :half] + lanes[..., half:]
    return lanes[..., 0]


def _taps(
    window: Window, size: Sequence[int], pixels: Sequence[int]
) -> Iterator[tuple[tuple[int, int], tuple[slice, ...], tuple[slice, ...]]]:
    """For each tap (ky, kx), row-major: the outputs for which it is inside the image, and what they see there."""
    rows, columns = ([_inside(window, axis, tap, size[axis]) for tap in range(window.kernel[axis])] for axis in (0, 1))
    for ky, (out_rows, in_rows) in enumerate(rows):
        for kx, (out_columns, in_columns) in enumerate(columns):
            if out_rows.start < out_rows.stop and out_columns.start < out_columns.stop:
                yield (ky, kx), (out_rows, out_columns), (in_rows, in_columns)


def _inside(window: Window, axis: int, tap: int, size: int) -> tuple[slice, slice]:
    """Outputs whose tap lies in [0, size) along one axis, and where it lies."""
    found, stride = outputs_inside(window, axis, tap, size), window.stride[axis]
    start = found.start * stride + tap * window.dilation[axis] - window.padding[axis]
    return slice(found.start, found.stop), slice(start, start + (len(found) - 1) * stride + 1, stride)


def _columns(image: Array, window: Window, groups: int) -> Array:
    """All windows of an image (C, H, W), with zeros outside it: (groups, in/groups*kh*kw, pixels)."""
    channels, *size = image.shape
    pixels = output_size(window, *size)
    columns = np.zeros((channels, *window.kernel, *pixels), np.float32)
    for (ky, kx), inside, taps in _taps(window, size, pixels):
        columns[:, ky, kx, *inside] = image[:, *taps]
    return columns.reshape(groups, channels // groups * prod(window.kernel), prod(pixels))
