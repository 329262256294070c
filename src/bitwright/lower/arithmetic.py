"""Arithmetic: sums, products and quotients, of two tensors or of a tensor and a constant."""

from typing import Any

import numpy as np
from torch import Tensor
from torch.fx import Node

from bitwright.ir import limits, ops
from bitwright.ir.ops import Kind
from bitwright.lower.capture import argument, arguments, sample_shape
from bitwright.lower.constants import by_channel, finite
from bitwright.lower.translate import Translation, refusal


def add(build: Translation, call: Node) -> str:
    """The sum a + alpha * b."""
    given = arguments(call)
    return _sum(build, call, given["self"], given["other"], 1, given["alpha"])


def sub(build: Translation, call: Node) -> str:
    """The difference a - alpha * b."""
    given = arguments(call)
    return _sum(build, call, given["self"], given["other"], 1, -given["alpha"])


def rsub(build: Translation, call: Node) -> str:
    """The difference b - alpha * a."""
    given = arguments(call)
    return _sum(build, call, given["other"], given["self"], 1, -given["alpha"])


def _sum(build: Translation, call: Node, a: Any, b: Any, times_a: float, times_b: float) -> str:
    """The sum a * times_a + b * times_b, where one of the two may be constant."""
    if build.constant(a):
        a, b, times_a, times_b = b, a, times_b, times_a
    if build.constant(b):
        offset = by_channel(build, call, b, a)
        scale = np.float32(times_a)
        if offset is not None:
            return affine(build, call, build.real(a), scale=scale, shift=offset * np.float32(times_b))
        x = affine(build, call, build.real(a), scale=scale)
        return shift(build, call, x, finite(call, build.program.constants[b] * times_b, "a constant"))
    x, y = _operands(build, call, a, b)
    if x is None or y is None:
        raise _no_spread(call, a, b)
    x, y = affine(build, call, x, scale=np.float32(times_a)), affine(build, call, y, scale=np.float32(times_b))
    return _of_two(build, call, ops.Add, x, y)


def mul(build: Translation, call: Node) -> str:
    """The product of a tensor with a constant for each channel, or with another tensor."""
    given = arguments(call)
    a, b = given["self"], given["other"]
    if build.constant(a):
        a, b = b, a
    if not build.constant(b):
        x, y = _operands(build, call, a, b)
        if x is None or y is None:
            raise _no_spread(call, a, b)
        return _of_two(build, call, ops.Multiply, x, y)
    factor = by_channel(build, call, b, a)
    if factor is None:
        raise _differs_by_pixel(build, call, b)
    return affine(build, call, build.real(a), scale=factor)


def square(build: Translation, call: Node) -> str:
    """The product of a tensor with itself."""
    if arguments(call).get("exponent", 2) != 2:
        raise refusal(call, "its exponent is not 2", "squares")
    x = build.real(argument(call))
    return _of_two(build, call, ops.Multiply, x, x)


def div(build: Translation, call: Node) -> str:
    """The quotient by a constant for each channel."""
    given = arguments(call)
    if given.get("rounding_mode") or not build.constant(given["other"]):
        raise refusal(call, "it divides by what depends on the network's input, or rounds", "a constant divisor")
    divisor = by_channel(build, call, given["other"], given["self"])
    if divisor is None:
        raise _differs_by_pixel(build, call, given["other"])
    scale = (1 / divisor.astype(np.float64)).astype(np.float32)
    return affine(build, call, build.real(given["self"]), scale=scale)


def neg(build: Translation, call: Node) -> str:
    """The tensor times -1."""
    return affine(build, call, build.real(argument(call)), scale=np.float32(-1))


def affine(
    build: Translation, call: Node, x: str, scale: np.ndarray | np.float32, shift: np.ndarray | None = None
) -> str:
    """Emit x * scale + shift, of one number each or one a channel."""
    shape = build.emit.shape(x)
    full = np.broadcast_to(np.asarray(scale, np.float32), shape[:1]).copy()
    offset = None if shift is None else np.broadcast_to(shift, shape[:1]).astype(np.float32)
    op = ops.Affine(name=build.name(call), inputs=(x,), scale=full, shift=offset)
    return build.emit.add(op, Kind.REAL, shape)


def shift(build: Translation, call: Node, x: str, constant: np.ndarray) -> str:
    """Emit x + constant, of a constant that differs by pixel.

    Shape:
        constant: whatever spreads over x, (C, H, W), and does not enlarge it, with a batch of 1 perhaps.

    Raises:
        LoweringError: If its rows and columns are of too many classes, or it does not fit x.
    """
    shape = build.emit.shape(x)
    squeezed = constant[0] if constant.ndim == 4 and len(constant) == 1 else constant
    if len(shape) != 3 or squeezed.ndim > 3 or np.broadcast_shapes(squeezed.shape, shape) != shape:
        raise refusal(
            call, f"its constant has the shape {constant.shape}, its operand {shape}", "(C, 1, 1) or (C, H, W)"
        )
    full = np.broadcast_to(squeezed, shape)
    first_row, rows = _classes(full.transpose(1, 0, 2))
    first_column, columns = _classes(full.transpose(2, 0, 1))
    if len(first_row) * len(first_column) > limits.MAX_CLASSES:
        raise refusal(
            call,
            f"its constant differs by pixel, in {len(first_row)} kinds of rows and {len(first_column)} of columns",
            f"constants with at most {limits.MAX_CLASSES} such classes of pixels",
        )
    values = np.ascontiguousarray(full[:, first_row][:, :, first_column], np.float32)
    op = ops.Shift(name=build.name(call), inputs=(x,), values=values, rows=rows, columns=columns)
    return build.emit.add(op, Kind.REAL, shape)


def _classes(lines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each different line comes first, and the class of every line, numbered in this order."""
    flat = np.ascontiguousarray(lines, np.float32).reshape(len(lines), -1).view(np.int32)
    _, first, inverse = np.unique(flat, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    number = np.empty(len(first), np.int32)
    number[order] = np.arange(len(first), dtype=np.int32)
    return first[order], number[inverse.reshape(-1)]


def _operands(build: Translation, call: Node, a: Node, b: Node) -> tuple[str, str] | tuple[None, None]:
    """Two tensors, of which one may be spread over the other; None if they do not fit, or no op spreads them.

    Of one number a channel and one a pixel, the latter is repeated for every channel.
    """
    whole = sample_shape(call)
    names = []
    for node in (a, b):
        spread = build.views.spread(node)
        x = build.real(node) if spread is None else build.emit.real(spread)
        channels, *pixels = build.emit.shape(x)
        fits = channels in (1, whole[0]) and tuple(pixels) in (whole[1:], (1,) * len(pixels))
        if not fits or node.meta["val"].dim() != call.meta["val"].dim():
            return None, None
        names.append(x)
    shapes = [build.emit.shape(x) for x in names]
    if whole in shapes:
        return names[0], names[1]
    maps = [x for x, shape in zip(names, shapes, strict=True) if shape == (1, *whole[1:])]
    if len(maps) != 1:
        return None, None
    repeated = build.emit.channels(build.name(call), maps[0], [0] * whole[0])
    return repeated, names[1] if maps[0] == names[0] else names[0]


def _of_two(build: Translation, call: Node, kind: type[ops.Add | ops.Multiply], x: str, y: str) -> str:
    if build.emit.shape(x) != sample_shape(call):
        x, y = y, x
    return build.emit.add(kind(name=build.name(call), inputs=(x, y)), Kind.REAL, sample_shape(call))


def _no_spread(call: Node, a: Node, b: Node):
    return refusal(
        call,
        f"it broadcasts {sample_shape(b)} and {sample_shape(a)} to {sample_shape(call)}",
        "two tensors of one shape, or one of them (C, 1, 1) or (1, H, W)",
    )


def _differs_by_pixel(build: Translation, call: Node, constant: Node):
    value: Tensor = build.program.constants[constant]
    return refusal(call, f"its constant of shape {tuple(value.shape)} differs by pixel", "one number a channel")
