"""The type of an op's output, given those of its inputs; what does not fit is refused.

This looks at structure: kinds, shapes, dtypes. Values are looked at by verify.py.
"""

from collections.abc import Sequence
from functools import singledispatch
from math import prod

import numpy as np

from bitwright.ir import limits, ops
from bitwright.ir.checks import check_array, check_groups, check_range, check_taps, inputs_of, refusal
from bitwright.ir.ops import Array, Kind, Op, TensorType, Window
from bitwright.ir.windows import class_starts, output_size, sees_image_everywhere

BITS = (Kind.SIGN, Kind.BIT)
CODES = (*BITS, Kind.DIGIT)  # what a binary layer reads
_ANY = tuple(Kind)


@singledispatch
def output_type(op: Op, *inputs: TensorType) -> TensorType:
    """Type of an op's output, given the types of its inputs.

    Raises:
        GraphError: If the op does not fit these inputs, or its parameters do not fit together.
    """
    raise refusal(op, "an op of bitwright.ir.ops", type(op).__name__)


@output_type.register
def _(op: ops.Affine, *inputs: TensorType) -> TensorType:
    (x,) = inputs_of(op, inputs, (Kind.REAL, Kind.PIXEL, Kind.SUM))
    check_array(op, "scale", op.scale, np.float32, x.shape[:1])
    if op.shift is not None:
        check_array(op, "shift", op.shift, np.float32, x.shape[:1])
    return TensorType(Kind.REAL, x.shape)


@output_type.register
def _(op: ops.LevelSum, *inputs: TensorType) -> TensorType:
    acc, window_sum = inputs_of(op, inputs, (Kind.SUM,), (Kind.SUM,))
    channels, *pixels = acc.shape
    groups, *found = window_sum.shape
    if found != pixels or channels % groups:
        expected = f"a window sum of {(*['g'], *pixels)} with g dividing {channels}".replace("'", "")
        raise refusal(op, expected, f"{window_sum.shape}")
    check_array(op, "step", op.step, np.float32, (channels,))
    check_array(op, "low", op.low, np.float32, (channels,))
    if op.shift is not None:
        check_array(op, "shift", op.shift, np.float32, (channels,))
    return TensorType(Kind.REAL, acc.shape)


@output_type.register
def _(op: ops.Add, *inputs: TensorType) -> TensorType:
    return _spread(op, inputs)


@output_type.register
def _(op: ops.Multiply, *inputs: TensorType) -> TensorType:
    return _spread(op, inputs)


@output_type.register
def _(op: ops.Sigmoid, *inputs: TensorType) -> TensorType:
    (x,) = inputs_of(op, inputs, (Kind.REAL,))
    return x


@output_type.register
def _(op: ops.Tanh, *inputs: TensorType) -> TensorType:
    (x,) = inputs_of(op, inputs, (Kind.REAL,))
    return x


@output_type.register
def _(op: ops.Shift, *inputs: TensorType) -> TensorType:
    (x,) = inputs_of(op, inputs, (Kind.REAL,), rank=3)
    classes = []
    for field, found, size in (("rows", op.rows, x.shape[1]), ("columns", op.columns, x.shape[2])):
        check_array(op, field, found, np.int32, (size,))
        check_range(op, f"the least of {field}", int(found.min()), 0, size - 1)
        check_range(op, f"the largest of {field}", int(found.max()), 0, size - 1)
        classes.append(int(found.max()) + 1)
    if prod(classes) > limits.MAX_CLASSES:
        raise refusal(op, f"at most {limits.MAX_CLASSES} classes of pixels", f"{classes[0]} x {classes[1]}")
    check_array(op, "values", op.values, np.float32, (x.shape[0], *classes))
    return x


@output_type.register
def _(op: ops.PReLU, *inputs: TensorType) -> TensorType:
    (x,) = inputs_of(op, inputs, (Kind.REAL,))
    check_array(op, "slope", op.slope, np.float32, x.shape[:1])
    return x


@output_type.register
def _(op: ops.Clamp, *inputs: TensorType) -> TensorType:
    (x,) = inputs_of(op, inputs, (Kind.REAL,))
    return x


@output_type.register
def _(op: ops.FixedPoint, *inputs: TensorType) -> TensorType:
    (x,) = inputs_of(op, inputs, (Kind.REAL,))
    check_range(op, "fraction", op.fraction, 0, limits.MAX_FRACTION)
    return x


@output_type.register
def _(op: ops.Binarize, *inputs: TensorType) -> TensorType:
    (x,) = inputs_of(op, inputs, (Kind.REAL,))
    check_array(op, "threshold", op.threshold, np.float32, x.shape[:1])
    return TensorType(_bit_kind(op, op.kind), x.shape)


@output_type.register
def _(op: ops.Threshold, *inputs: TensorType) -> TensorType:
    (x,) = inputs_of(op, inputs, (Kind.SUM,))
    check_array(op, "threshold", op.threshold, np.int32, x.shape[:1])
    check_array(op, "flip", op.flip, np.bool_, x.shape[:1])
    return TensorType(_bit_kind(op, op.kind), x.shape)


@output_type.register
def _(op: ops.Quantize, *inputs: TensorType) -> TensorType:
    (x,) = inputs_of(op, inputs, (Kind.REAL,))
    check_array(op, "thresholds", op.thresholds, np.float32, (3, *x.shape[:1]))
    return TensorType(Kind.DIGIT, x.shape)


@output_type.register
def _(op: ops.Decode, *inputs: TensorType) -> TensorType:
    (x,) = inputs_of(op, inputs, CODES)
    return TensorType(Kind.REAL, x.shape)


@output_type.register
def _(op: ops.Conv, *inputs: TensorType) -> TensorType:
    (x,) = inputs_of(op, inputs, (Kind.REAL,), rank=3)
    shape = _convolve(op, x, op.window, op.groups, op.weight, np.float32)
    if op.bias is not None:
        check_array(op, "bias", op.bias, np.float32, shape[:1])
    return TensorType(Kind.REAL, shape)


@output_type.register
def _(op: ops.PixelConv, *inputs: TensorType) -> TensorType:
    (x,) = inputs_of(op, inputs, (Kind.PIXEL,), rank=3)
    shape = _convolve(op, x, op.window, 1, op.weight, np.int16)
    check_array(op, "scale", op.scale, np.float32, shape[:1])
    if op.shift is not None:
        classes = (len(class_starts(op.window, axis, x.shape[1 + axis])) for axis in (0, 1))
        check_array(op, "shift", op.shift, np.float32, (shape[0], *classes))
    return TensorType(Kind.REAL, shape)


@output_type.register
def _(op: ops.Thermometer, *inputs: TensorType) -> TensorType:
    (x,) = inputs_of(op, inputs, (Kind.PIXEL,), rank=3)
    check_array(op, "thresholds", op.thresholds, np.int16, ("count",))
    return TensorType(Kind.SIGN, (x.shape[0] * len(op.thresholds), *x.shape[1:]))


@output_type.register
def _(op: ops.BinaryConv, *inputs: TensorType) -> TensorType:
    (x,) = inputs_of(op, inputs, CODES, rank=3)
    shape = _convolve(op, x, op.window, op.groups, op.weight, np.bool_)
    check_taps(op, x, x.shape[0] // op.groups * prod(op.window.kernel))
    if op.gate is not None:
        check_array(op, "gate", op.gate, np.int32, shape[:1])
        if x.kind != Kind.DIGIT or not op.signed:
            raise refusal(op, "digits and signed weights for a gate", f"{x.kind.name}, signed {op.signed}")
    return TensorType(Kind.SUM, shape)


@output_type.register
def _(op: ops.WindowSum, *inputs: TensorType) -> TensorType:
    (x,) = inputs_of(op, inputs, CODES)
    if len(x.shape) == 1:
        if op.window != Window((1, 1)) or op.groups != 1:
            raise refusal(op, "the 1x1 window and one group for a vector", f"{op.window}, {op.groups} groups")
        check_taps(op, x, x.shape[0])
        return TensorType(Kind.SUM, (1,))
    pixels = _slide(op, x, op.window)
    check_groups(op, x.shape[0], op.groups)
    check_taps(op, x, x.shape[0] // op.groups * prod(op.window.kernel))
    return TensorType(Kind.SUM, (op.groups, *pixels))


@output_type.register
def _(op: ops.Linear, *inputs: TensorType) -> TensorType:
    (x,) = inputs_of(op, inputs, (Kind.REAL,), rank=1)
    check_array(op, "weight", op.weight, np.float32, ("out", *x.shape))
    if op.bias is not None:
        check_array(op, "bias", op.bias, np.float32, op.weight.shape[:1])
    return TensorType(Kind.REAL, op.weight.shape[:1])


@output_type.register
def _(op: ops.BinaryLinear, *inputs: TensorType) -> TensorType:
    (x,) = inputs_of(op, inputs, CODES, rank=1)
    check_array(op, "weight", op.weight, np.bool_, ("out", *x.shape))
    check_taps(op, x, x.shape[0])
    return TensorType(Kind.SUM, op.weight.shape[:1])


@output_type.register
def _(op: ops.MaxPool, *inputs: TensorType) -> TensorType:
    (x,) = inputs_of(op, inputs, (Kind.REAL, Kind.SUM, *BITS), rank=3)
    pixels = _slide(op, x, op.window, taps_needed=True)
    if op.take_min is not None:
        check_array(op, "take_min", op.take_min, np.bool_, x.shape[:1])
    return TensorType(x.kind, (x.shape[0], *pixels))


@output_type.register
def _(op: ops.AvgPool, *inputs: TensorType) -> TensorType:
    (x,) = inputs_of(op, inputs, (Kind.REAL,), rank=3)
    return TensorType(Kind.REAL, (x.shape[0], *_slide(op, x, op.window, taps_needed=True)))


@output_type.register
def _(op: ops.Mean, *inputs: TensorType) -> TensorType:
    (x,) = inputs_of(op, inputs, (Kind.REAL,), rank=3)
    return TensorType(Kind.REAL, (x.shape[0], 1, 1))


@output_type.register
def _(op: ops.Flatten, *inputs: TensorType) -> TensorType:
    (x,) = inputs_of(op, inputs, _ANY, rank=3)
    return TensorType(x.kind, (prod(x.shape),))


@output_type.register
def _(op: ops.PadChannels, *inputs: TensorType) -> TensorType:
    (x,) = inputs_of(op, inputs, (Kind.REAL,))
    for field, value in (("before", op.before), ("after", op.after)):
        check_range(op, field, value, 0, limits.MAX_DIM)
    return TensorType(Kind.REAL, (op.before + x.shape[0] + op.after, *x.shape[1:]))


@output_type.register
def _(op: ops.Concat, *inputs: TensorType) -> TensorType:
    if not 2 <= len(inputs) <= limits.MAX_INPUTS:
        raise refusal(op, f"2 to {limits.MAX_INPUTS} inputs", f"{len(inputs)}")
    first, *others = inputs
    for x in others:
        if x.kind != first.kind or len(x.shape) != len(first.shape) or x.shape[1:] != first.shape[1:]:
            raise refusal(op, f"inputs that agree but for their channels with {_show(first)}", _show(x))
    return TensorType(first.kind, (sum(x.shape[0] for x in inputs), *first.shape[1:]))


@output_type.register
def _(op: ops.Channels, *inputs: TensorType) -> TensorType:
    (x,) = inputs_of(op, inputs, _ANY)
    check_array(op, "index", op.index, np.int32, ("out",))
    for index in (int(op.index.min()), int(op.index.max())):
        check_range(op, "every index", index, 0, x.shape[0] - 1)
    return TensorType(x.kind, (len(op.index), *x.shape[1:]))


@output_type.register
def _(op: ops.Unflatten, *inputs: TensorType) -> TensorType:
    (x,) = inputs_of(op, inputs, (Kind.REAL, Kind.PIXEL, Kind.SUM), rank=1)
    for field, value in (("height", op.height), ("width", op.width)):
        check_range(op, field, value, 1, limits.MAX_DIM)
    channels, left = divmod(x.shape[0], op.height * op.width)
    if left or not channels:
        raise refusal(op, f"a vector of whole maps of {op.height} x {op.width}", f"{x.shape}")
    return TensorType(x.kind, (channels, op.height, op.width))


def _spread(op: Op, inputs: Sequence[TensorType]) -> TensorType:
    """The first of two real operands, when the second has its shape or is spread over it."""
    a, b = inputs_of(op, inputs, (Kind.REAL,), (Kind.REAL,))
    channels, *pixels = b.shape if len(b.shape) == len(a.shape) else (b.shape[0], *[1] * (len(a.shape) - 1))
    fits = len(b.shape) <= len(a.shape) and channels in (1, a.shape[0])
    if not fits or pixels not in ([1] * len(pixels), list(a.shape[1:])):
        expected = f"a second operand of the shape {a.shape}, or one for each channel or pixel of it"
        raise refusal(op, expected, f"{b.shape}")
    return a


def _convolve(
    op: Op, x: TensorType, window: Window, groups: int, weight: Array, dtype: type[np.generic]
) -> tuple[int, ...]:
    """Shape of a convolution's output."""
    pixels = _slide(op, x, window)
    check_groups(op, x.shape[0], groups)
    check_array(op, "weight", weight, dtype, ("out", x.shape[0] // groups, *window.kernel))
    if weight.shape[0] % groups:
        raise refusal(op, f"{groups} groups to divide the output channels", f"{weight.shape[0]} of them")
    return (weight.shape[0], *pixels)


def _slide(op: Op, x: TensorType, window: Window, taps_needed: bool = False) -> tuple[int, int]:
    """Rows and columns of what a window finds in a map; with `taps_needed` each must have a tap inside the image."""
    if len(x.shape) != 3:
        raise refusal(op, f"{op.inputs[0]!r} of shape (C, H, W)", f"{x.shape}")
    for field, least in (("kernel", 1), ("stride", 1), ("padding", 0), ("dilation", 1)):
        pair = getattr(window, field)
        if len(pair) != 2:
            raise refusal(op, f"a {field} of two numbers", f"{pair}")
        for value in pair:
            check_range(op, field, value, least, limits.MAX_WINDOW)
    pixels = output_size(window, *x.shape[1:])
    if min(pixels) < 1:
        raise refusal(op, f"an image that {window} fits into", f"{x.shape[1]}x{x.shape[2]} pixels")
    for axis in (0, 1):
        if taps_needed and not sees_image_everywhere(x.shape[1 + axis], pixels[axis], window, axis):
            raise refusal(op, "a pool whose every window has a tap inside the image", f"{window}")
    return pixels


def _bit_kind(op: Op, kind: Kind) -> Kind:
    if kind not in BITS:
        raise refusal(op, "the kind SIGN or BIT", f"{kind!r}")
    return Kind(kind)


def _show(x: TensorType) -> str:
    return f"{x.kind.name} {x.shape}"
