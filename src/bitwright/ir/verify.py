"""What a well-formed graph is. Types are derived here, op by op, and stored nowhere.

`infer` looks at structure (names, kinds, shapes, dtypes), `verify` also at values, limits and what is left unused.
"""

from collections.abc import Collection, Sequence
from functools import singledispatch
from math import isfinite, isnan, prod

import numpy as np

from bitwright.errors import GraphError
from bitwright.ir import limits, ops
from bitwright.ir.ops import Array, Graph, Kind, Op, TensorType, Window
from bitwright.ir.windows import class_starts, output_size, sees_image_everywhere

BITS = (Kind.SIGN, Kind.BIT)
CODES = (*BITS, Kind.DIGIT)  # what a binary layer reads
_ANY = tuple(Kind)


def infer(graph: Graph) -> dict[str, TensorType]:
    """Derive the type of every tensor, by its name, the graph's input first and then in the order of the ops.

    Raises:
        GraphError: If an op reads what does not exist before it, has a name already taken, or does not fit its inputs.
    """
    _check_type(graph.input_type, f"the graph's input {graph.input!r}")
    types = {graph.input: graph.input_type}
    for op in graph.ops:
        if op.name in types:
            raise _refusal(op, "a name of its own", f"{op.name!r} a second time")
        for name in op.inputs:
            if name not in types:
                raise _refusal(op, "inputs from among the ops before it", f"{name!r}")
        found = output_type(op, *(types[name] for name in op.inputs))
        _check_type(found, f"{_where(op)}: the output")
        types[op.name] = found
    return types


def verify(graph: Graph) -> dict[str, TensorType]:
    """Check a graph completely and return what `infer` says of it.

    Beyond `infer`: every parameter is finite (a clamp's upper limit may be infinite), the input is real or pixels, the
    output is real, every other tensor is read by some op (so that the output is the last op's), all names and texts are
    there and within the limits.

    Raises:
        GraphError: Naming the op, what was expected and what was found.
    """
    if not 1 <= len(graph.ops) <= limits.MAX_OPS:
        raise GraphError(f"The graph: expected 1 to {limits.MAX_OPS} ops, found {len(graph.ops)}.")
    _check_texts(graph)
    types = infer(graph)
    if graph.input_type.kind not in (Kind.REAL, Kind.PIXEL):
        raise GraphError(f"The graph's input: expected REAL or PIXEL, found {graph.input_type.kind.name}.")
    for op in graph.ops:
        _check_values(op)
    if graph.output not in types:
        raise GraphError(f"The graph's output: expected the name of an op, found {graph.output!r}.")
    used = {name for op in graph.ops for name in op.inputs} | {graph.output}
    for name in types:
        if name not in used:
            raise GraphError(f"{name}: expected every tensor to be read, found nothing that reads it. Remove it.")
    if types[graph.output].kind != Kind.REAL:
        raise GraphError(f"{graph.output}: expected a real output, found {types[graph.output].kind.name}. Decode it.")
    return types


@singledispatch
def output_type(op: Op, *inputs: TensorType) -> TensorType:
    """Type of an op's output, given the types of its inputs.

    Raises:
        GraphError: If the op does not fit these inputs, or its parameters do not fit together.
    """
    raise _refusal(op, "an op of bitwright.ir.ops", type(op).__name__)


@output_type.register
def _(op: ops.Affine, *inputs: TensorType) -> TensorType:
    (x,) = _inputs(op, inputs, (Kind.REAL, Kind.PIXEL, Kind.SUM))
    _check_array(op, "scale", op.scale, np.float32, x.shape[:1])
    if op.shift is not None:
        _check_array(op, "shift", op.shift, np.float32, x.shape[:1])
    return TensorType(Kind.REAL, x.shape)


@output_type.register
def _(op: ops.LevelSum, *inputs: TensorType) -> TensorType:
    acc, window_sum = _inputs(op, inputs, (Kind.SUM,), (Kind.SUM,))
    channels, *pixels = acc.shape
    groups, *found = window_sum.shape
    if found != pixels or channels % groups:
        expected = f"a window sum of {(*['g'], *pixels)} with g dividing {channels}".replace("'", "")
        raise _refusal(op, expected, f"{window_sum.shape}")
    _check_array(op, "step", op.step, np.float32, (channels,))
    _check_array(op, "low", op.low, np.float32, (channels,))
    if op.shift is not None:
        _check_array(op, "shift", op.shift, np.float32, (channels,))
    return TensorType(Kind.REAL, acc.shape)


@output_type.register
def _(op: ops.Add, *inputs: TensorType) -> TensorType:
    return _spread(op, inputs)


@output_type.register
def _(op: ops.Multiply, *inputs: TensorType) -> TensorType:
    return _spread(op, inputs)


@output_type.register
def _(op: ops.Sigmoid, *inputs: TensorType) -> TensorType:
    (x,) = _inputs(op, inputs, (Kind.REAL,))
    return x


@output_type.register
def _(op: ops.Tanh, *inputs: TensorType) -> TensorType:
    (x,) = _inputs(op, inputs, (Kind.REAL,))
    return x


@output_type.register
def _(op: ops.Shift, *inputs: TensorType) -> TensorType:
    (x,) = _inputs(op, inputs, (Kind.REAL,), rank=3)
    classes = []
    for field, found, size in (("rows", op.rows, x.shape[1]), ("columns", op.columns, x.shape[2])):
        _check_array(op, field, found, np.int32, (size,))
        _check_range(op, f"the least of {field}", int(found.min()), 0, size - 1)
        _check_range(op, f"the largest of {field}", int(found.max()), 0, size - 1)
        classes.append(int(found.max()) + 1)
    if prod(classes) > limits.MAX_CLASSES:
        raise _refusal(op, f"at most {limits.MAX_CLASSES} classes of pixels", f"{classes[0]} x {classes[1]}")
    _check_array(op, "values", op.values, np.float32, (x.shape[0], *classes))
    return x


@output_type.register
def _(op: ops.PReLU, *inputs: TensorType) -> TensorType:
    (x,) = _inputs(op, inputs, (Kind.REAL,))
    _check_array(op, "slope", op.slope, np.float32, x.shape[:1])
    return x


@output_type.register
def _(op: ops.Clamp, *inputs: TensorType) -> TensorType:
    (x,) = _inputs(op, inputs, (Kind.REAL,))
    return x


@output_type.register
def _(op: ops.FixedPoint, *inputs: TensorType) -> TensorType:
    (x,) = _inputs(op, inputs, (Kind.REAL,))
    _check_range(op, "fraction", op.fraction, 0, limits.MAX_FRACTION)
    return x


@output_type.register
def _(op: ops.Binarize, *inputs: TensorType) -> TensorType:
    (x,) = _inputs(op, inputs, (Kind.REAL,))
    _check_array(op, "threshold", op.threshold, np.float32, x.shape[:1])
    return TensorType(_bit_kind(op, op.kind), x.shape)


@output_type.register
def _(op: ops.Threshold, *inputs: TensorType) -> TensorType:
    (x,) = _inputs(op, inputs, (Kind.SUM,))
    _check_array(op, "threshold", op.threshold, np.int32, x.shape[:1])
    _check_array(op, "flip", op.flip, np.bool_, x.shape[:1])
    return TensorType(_bit_kind(op, op.kind), x.shape)


@output_type.register
def _(op: ops.Quantize, *inputs: TensorType) -> TensorType:
    (x,) = _inputs(op, inputs, (Kind.REAL,))
    _check_array(op, "thresholds", op.thresholds, np.float32, (3, *x.shape[:1]))
    return TensorType(Kind.DIGIT, x.shape)


@output_type.register
def _(op: ops.Decode, *inputs: TensorType) -> TensorType:
    (x,) = _inputs(op, inputs, CODES)
    return TensorType(Kind.REAL, x.shape)


@output_type.register
def _(op: ops.Conv, *inputs: TensorType) -> TensorType:
    (x,) = _inputs(op, inputs, (Kind.REAL,), rank=3)
    shape = _convolve(op, x, op.window, op.groups, op.weight, np.float32)
    if op.bias is not None:
        _check_array(op, "bias", op.bias, np.float32, shape[:1])
    return TensorType(Kind.REAL, shape)


@output_type.register
def _(op: ops.PixelConv, *inputs: TensorType) -> TensorType:
    (x,) = _inputs(op, inputs, (Kind.PIXEL,), rank=3)
    shape = _convolve(op, x, op.window, 1, op.weight, np.int16)
    _check_array(op, "scale", op.scale, np.float32, shape[:1])
    if op.shift is not None:
        classes = (len(class_starts(op.window, axis, x.shape[1 + axis])) for axis in (0, 1))
        _check_array(op, "shift", op.shift, np.float32, (shape[0], *classes))
    return TensorType(Kind.REAL, shape)


@output_type.register
def _(op: ops.Thermometer, *inputs: TensorType) -> TensorType:
    (x,) = _inputs(op, inputs, (Kind.PIXEL,), rank=3)
    _check_array(op, "thresholds", op.thresholds, np.int16, ("count",))
    return TensorType(Kind.SIGN, (x.shape[0] * len(op.thresholds), *x.shape[1:]))


@output_type.register
def _(op: ops.BinaryConv, *inputs: TensorType) -> TensorType:
    (x,) = _inputs(op, inputs, CODES, rank=3)
    shape = _convolve(op, x, op.window, op.groups, op.weight, np.bool_)
    _check_taps(op, x, x.shape[0] // op.groups * prod(op.window.kernel))
    if op.gate is not None:
        _check_array(op, "gate", op.gate, np.int32, shape[:1])
        if x.kind != Kind.DIGIT or not op.signed:
            raise _refusal(op, "digits and signed weights for a gate", f"{x.kind.name}, signed {op.signed}")
    return TensorType(Kind.SUM, shape)


@output_type.register
def _(op: ops.WindowSum, *inputs: TensorType) -> TensorType:
    (x,) = _inputs(op, inputs, CODES)
    if len(x.shape) == 1:
        if op.window != Window((1, 1)) or op.groups != 1:
            raise _refusal(op, "the 1x1 window and one group for a vector", f"{op.window}, {op.groups} groups")
        _check_taps(op, x, x.shape[0])
        return TensorType(Kind.SUM, (1,))
    pixels = _slide(op, x, op.window)
    _check_groups(op, x.shape[0], op.groups)
    _check_taps(op, x, x.shape[0] // op.groups * prod(op.window.kernel))
    return TensorType(Kind.SUM, (op.groups, *pixels))


@output_type.register
def _(op: ops.Linear, *inputs: TensorType) -> TensorType:
    (x,) = _inputs(op, inputs, (Kind.REAL,), rank=1)
    _check_array(op, "weight", op.weight, np.float32, ("out", *x.shape))
    if op.bias is not None:
        _check_array(op, "bias", op.bias, np.float32, op.weight.shape[:1])
    return TensorType(Kind.REAL, op.weight.shape[:1])


@output_type.register
def _(op: ops.BinaryLinear, *inputs: TensorType) -> TensorType:
    (x,) = _inputs(op, inputs, CODES, rank=1)
    _check_array(op, "weight", op.weight, np.bool_, ("out", *x.shape))
    _check_taps(op, x, x.shape[0])
    return TensorType(Kind.SUM, op.weight.shape[:1])


@output_type.register
def _(op: ops.MaxPool, *inputs: TensorType) -> TensorType:
    (x,) = _inputs(op, inputs, (Kind.REAL, Kind.SUM, *BITS), rank=3)
    pixels = _slide(op, x, op.window, taps_needed=True)
    if op.take_min is not None:
        _check_array(op, "take_min", op.take_min, np.bool_, x.shape[:1])
    return TensorType(x.kind, (x.shape[0], *pixels))


@output_type.register
def _(op: ops.AvgPool, *inputs: TensorType) -> TensorType:
    (x,) = _inputs(op, inputs, (Kind.REAL,), rank=3)
    return TensorType(Kind.REAL, (x.shape[0], *_slide(op, x, op.window, taps_needed=True)))


@output_type.register
def _(op: ops.Mean, *inputs: TensorType) -> TensorType:
    (x,) = _inputs(op, inputs, (Kind.REAL,), rank=3)
    return TensorType(Kind.REAL, (x.shape[0], 1, 1))


@output_type.register
def _(op: ops.Flatten, *inputs: TensorType) -> TensorType:
    (x,) = _inputs(op, inputs, _ANY, rank=3)
    return TensorType(x.kind, (prod(x.shape),))


@output_type.register
def _(op: ops.PadChannels, *inputs: TensorType) -> TensorType:
    (x,) = _inputs(op, inputs, (Kind.REAL,))
    for field, value in (("before", op.before), ("after", op.after)):
        _check_range(op, field, value, 0, limits.MAX_DIM)
    return TensorType(Kind.REAL, (op.before + x.shape[0] + op.after, *x.shape[1:]))


@output_type.register
def _(op: ops.Concat, *inputs: TensorType) -> TensorType:
    if not 2 <= len(inputs) <= limits.MAX_INPUTS:
        raise _refusal(op, f"2 to {limits.MAX_INPUTS} inputs", f"{len(inputs)}")
    first, *others = inputs
    for x in others:
        if x.kind != first.kind or len(x.shape) != len(first.shape) or x.shape[1:] != first.shape[1:]:
            raise _refusal(op, f"inputs that agree but for their channels with {_show(first)}", _show(x))
    return TensorType(first.kind, (sum(x.shape[0] for x in inputs), *first.shape[1:]))


@output_type.register
def _(op: ops.Channels, *inputs: TensorType) -> TensorType:
    (x,) = _inputs(op, inputs, _ANY)
    _check_array(op, "index", op.index, np.int32, ("out",))
    for index in (int(op.index.min()), int(op.index.max())):
        _check_range(op, "every index", index, 0, x.shape[0] - 1)
    return TensorType(x.kind, (len(op.index), *x.shape[1:]))


@output_type.register
def _(op: ops.Unflatten, *inputs: TensorType) -> TensorType:
    (x,) = _inputs(op, inputs, (Kind.REAL, Kind.PIXEL, Kind.SUM), rank=1)
    for field, value in (("height", op.height), ("width", op.width)):
        _check_range(op, field, value, 1, limits.MAX_DIM)
    channels, left = divmod(x.shape[0], op.height * op.width)
    if left or not channels:
        raise _refusal(op, f"a vector of whole maps of {op.height} x {op.width}", f"{x.shape}")
    return TensorType(x.kind, (channels, op.height, op.width))


def _spread(op: Op, inputs: Sequence[TensorType]) -> TensorType:
    """The first of two real operands, when the second has its shape or is spread over it."""
    a, b = _inputs(op, inputs, (Kind.REAL,), (Kind.REAL,))
    channels, *pixels = b.shape if len(b.shape) == len(a.shape) else (b.shape[0], *[1] * (len(a.shape) - 1))
    fits = len(b.shape) <= len(a.shape) and channels in (1, a.shape[0])
    if not fits or pixels not in ([1] * len(pixels), list(a.shape[1:])):
        expected = f"a second operand of the shape {a.shape}, or one for each channel or pixel of it"
        raise _refusal(op, expected, f"{b.shape}")
    return a


def _inputs(
    op: Op, found: Sequence[TensorType], *expected: Collection[Kind], rank: int | None = None
) -> Sequence[TensorType]:
    """The inputs, when there are as many as kinds expected and each is of one of them."""
    if len(found) != len(expected):
        raise _refusal(op, f"{len(expected)} inputs", f"{len(found)}")
    for name, x, kinds in zip(op.inputs, found, expected, strict=True):
        if x.kind not in kinds:
            raise _refusal(op, f"{name!r} to be {' or '.join(kind.name for kind in kinds)}", x.kind.name)
        if rank is not None and len(x.shape) != rank:
            raise _refusal(op, f"{name!r} of shape {'(C, H, W)' if rank == 3 else '(F,)'}", f"{x.shape}")
    return found


def _convolve(
    op: Op, x: TensorType, window: Window, groups: int, weight: Array, dtype: type[np.generic]
) -> tuple[int, ...]:
    """Shape of a convolution's output."""
    pixels = _slide(op, x, window)
    _check_groups(op, x.shape[0], groups)
    _check_array(op, "weight", weight, dtype, ("out", x.shape[0] // groups, *window.kernel))
    if weight.shape[0] % groups:
        raise _refusal(op, f"{groups} groups to divide the output channels", f"{weight.shape[0]} of them")
    return (weight.shape[0], *pixels)


def _slide(op: Op, x: TensorType, window: Window, taps_needed: bool = False) -> tuple[int, int]:
    """Rows and columns of what a window finds in a map; with `taps_needed` each must have a tap inside the image."""
    if len(x.shape) != 3:
        raise _refusal(op, f"{op.inputs[0]!r} of shape (C, H, W)", f"{x.shape}")
    for field, least in (("kernel", 1), ("stride", 1), ("padding", 0), ("dilation", 1)):
        pair = getattr(window, field)
        if len(pair) != 2:
            raise _refusal(op, f"a {field} of two numbers", f"{pair}")
        for value in pair:
            _check_range(op, field, value, least, limits.MAX_WINDOW)
    pixels = output_size(window, *x.shape[1:])
    if min(pixels) < 1:
        raise _refusal(op, f"an image that {window} fits into", f"{x.shape[1]}x{x.shape[2]} pixels")
    for axis in (0, 1):
        if taps_needed and not sees_image_everywhere(x.shape[1 + axis], pixels[axis], window, axis):
            raise _refusal(op, "a pool whose every window has a tap inside the image", f"{window}")
    return pixels


def _check_type(found: TensorType, where: str) -> None:
    if len(found.shape) not in (1, 3) or not all(1 <= n <= limits.MAX_DIM for n in found.shape):
        raise GraphError(
            f"{where}: expected a shape (C, H, W) or (F,) of 1 to {limits.MAX_DIM} each, found {found.shape}."
        )
    if prod(found.shape) > limits.MAX_ELEMENTS:
        raise GraphError(f"{where}: expected at most {limits.MAX_ELEMENTS} elements, found the shape {found.shape}.")


def _check_groups(op: Op, channels: int, groups: int) -> None:
    if groups < 1 or channels % groups:
        raise _refusal(op, f"groups that divide the {channels} input channels", f"{groups} groups")


def _check_taps(op: Op, x: TensorType, taps: int) -> None:
    most = limits.MAX_TAPS // (3 if x.kind == Kind.DIGIT else 1)
    if taps > most:
        raise _refusal(op, f"at most {most} taps in one sum", f"{taps}")


def _check_range(op: Op, field: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise _refusal(op, f"{field} from {low} to {high}", f"{value}")


def _check_array(op: Op, field: str, array: Array, dtype: type[np.generic], shape: tuple[int | str, ...]) -> None:
    """Check dtype and shape of a parameter; a word in the shape stands for any number from 1 on."""
    found = getattr(array, "shape", None)
    if found is None or getattr(array, "dtype", None) != dtype:
        raise _refusal(op, f"{field} to be {np.dtype(dtype)}", f"{getattr(array, 'dtype', type(array).__name__)}")
    fits = len(found) == len(shape) and all(
        want == has or (isinstance(want, str) and has >= 1) for want, has in zip(shape, found, strict=True)
    )
    if not fits:
        raise _refusal(op, f"{field} of shape {str(shape).replace(chr(39), '')}", f"{found}")
    if array.size > limits.MAX_ELEMENTS:
        raise _refusal(op, f"{field} of at most {limits.MAX_ELEMENTS} elements", f"{array.size}")


def _bit_kind(op: Op, kind: Kind) -> Kind:
    if kind not in BITS:
        raise _refusal(op, "the kind SIGN or BIT", f"{kind!r}")
    return Kind(kind)


def _check_values(op: Op) -> None:
    if isinstance(op, ops.Clamp) and not (isfinite(op.low) and not isnan(op.high) and op.low <= op.high):
        raise _refusal(op, "a finite low that is not above high", f"low {op.low}, high {op.high}")
    if isinstance(op, ops.PixelConv):
        sums = np.abs(op.weight.reshape(len(op.weight), -1).astype(np.int64)).sum(1)
        if sums.max() > limits.MAX_PIXEL_WEIGHTS:
            expected = f"filters whose magnitudes add up to at most {limits.MAX_PIXEL_WEIGHTS}, for sums of 32 bits"
            raise _refusal(op, expected, f"{sums.max()} in filter {sums.argmax()}")
    if isinstance(op, ops.Quantize) and (op.thresholds[1:] < op.thresholds[:-1]).any():
        raise _refusal(op, "thresholds that ascend in every channel", "a lower one behind a higher one")
    if isinstance(op, ops.Thermometer) and (np.diff(op.thresholds, prepend=0, append=limits.NO_PIXEL) < 0).any():
        raise _refusal(op, f"ascending thresholds from 0 to {limits.NO_PIXEL}", f"{op.thresholds.tolist()}")
    for field, value in vars(op).items():
        if isinstance(value, np.ndarray) and value.dtype == np.float32 and not np.isfinite(value).all():
            where = np.unravel_index(int(np.argmin(np.isfinite(value))), value.shape)
            at = ", ".join(str(i) for i in where)
            raise _refusal(op, f"finite values in {field}", f"{value[where]} at [{at}]", "Did the training diverge?")


def _check_texts(graph: Graph) -> None:
    """Names are not empty, and all texts together fit the file."""
    if len(graph.meta) > limits.MAX_META:
        raise GraphError(f"The graph: expected at most {limits.MAX_META} metadata pairs, found {len(graph.meta)}.")
    names = [graph.input, *(op.name for op in graph.ops), *graph.meta]
    if not all(names):
        raise GraphError("The graph: expected every tensor and every key of the metadata to have a name, found ''.")
    size = 0
    for text in (*names, *(op.note for op in graph.ops), *graph.meta.values()):
        try:
            size += len(text.encode())
        except UnicodeEncodeError:
            raise GraphError(f"The graph: expected texts that UTF-8 can hold, found {text!r}.") from None
    if size > limits.MAX_TEXT:
        raise GraphError(f"The graph: expected at most {limits.MAX_TEXT} bytes of names and texts, found {size}.")


def _show(x: TensorType) -> str:
    return f"{x.kind.name} {x.shape}"


def _where(op: Op) -> str:
    return f"{op.name} ({type(op).__name__})"


def _refusal(op: Op, expected: str, found: str, advice: str = "") -> GraphError:
    return GraphError(f"{_where(op)}: expected {expected}, found {found}." + (f" {advice}" if advice else ""))
