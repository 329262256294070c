"""Operators: the real-valued torch operations that a graph has words for, one function each.

Each takes the translation and a call, and returns the name of the tensor that holds the call's value.
"""

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.fx import Node

from bitwright.errors import LoweringError
from bitwright.ir import ops
from bitwright.ir.limits import MAX_INPUTS
from bitwright.ir.ops import Kind, Window
from bitwright.lower.capture import arguments, describe, operation, sample_shape
from bitwright.lower.tail import BATCH_NORM, FAR, VIEWS
from bitwright.lower.thermometer import thermometer
from bitwright.lower.translate import Translation, max_pool, pair, refusal

INFINITY = float("inf")


def _conv2d(build: Translation, call: Node) -> str:
    given = arguments(call)
    weight = _array(build, call, given["weight"], "weight")
    kernel, dilation, padding = weight.shape[2:], pair(given["dilation"]), given["padding"]
    if padding == "same":
        around = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        if any(n % 2 for n in around):
            raise refusal(
                call, f"padding='same' of the even kernel {tuple(kernel)} is asymmetric", "odd kernels, or numbers"
            )
        padding = [n // 2 for n in around]
    window = Window(
        (kernel[0], kernel[1]), pair(given["stride"]), (0, 0) if padding == "valid" else pair(padding), dilation
    )
    conv = ops.Conv(
        name=build.name(call),
        inputs=(build.real(given["input"]),),
        weight=weight,
        bias=_array(build, call, given["bias"], "bias") if given["bias"] is not None else None,
        window=window,
        groups=given["groups"],
        note=_why_real(build, given["input"]),
    )
    return build.emit.add(conv, Kind.REAL, sample_shape(call))


def _linear(build: Translation, call: Node) -> str:
    given = arguments(call)
    linear = ops.Linear(
        name=build.name(call),
        inputs=(build.real(given["input"]),),
        weight=_array(build, call, given["weight"], "weight"),
        bias=_array(build, call, given["bias"], "bias") if given["bias"] is not None else None,
        note=_why_real(build, given["input"]),
    )
    return build.emit.add(linear, Kind.REAL, sample_shape(call))


def _why_real(build: Translation, x: Node) -> str:
    return "its input is the network's" if x is build.program.input else "kept real by the model"


def _batch_norm(build: Translation, call: Node) -> str:
    """Scale and shift in the roundings of torch, whose fused multiply-add rounds the shift once."""
    given = arguments(call)
    x = build.real(given["input"])
    mean, var = (_array(build, call, given[f"running_{what}"], f"running {what}") for what in ("mean", "var"))
    scale = np.float32(1) / np.sqrt(var + np.float32(given["eps"]))
    if given["weight"] is not None:
        scale = scale * _array(build, call, given["weight"], "weight")
    shift = -mean.astype(np.float64) * scale
    if given["bias"] is not None:
        shift = shift + _array(build, call, given["bias"], "bias")
    op = ops.Affine(name=build.name(call), inputs=(x,), scale=scale, shift=shift.astype(np.float32))
    return build.emit.add(op, Kind.REAL, build.emit.shape(x))


def _batch_statistics(build: Translation, call: Node) -> str:
    raise refusal(call, "it uses the statistics of the batch", "batch norm with running statistics")


def _three_valued_sign(build: Translation, call: Node) -> str:
    raise refusal(call, "it has a third value, 0 at 0", "the estimators of bitwright, whose sign(0) is +1")


def _first(build: Translation, call: Node) -> str:
    source, index = call.args
    if not isinstance(source, Node) or operation(source) != BATCH_NORM or index != 0:
        raise refusal(call, "it takes one of several results", "operations with one result")
    return build.names[source]


def _add(build: Translation, call: Node) -> str:
    given = arguments(call)
    return _sum(build, call, given["self"], given["other"], 1, given["alpha"])


def _sub(build: Translation, call: Node) -> str:
    given = arguments(call)
    return _sum(build, call, given["self"], given["other"], 1, -given["alpha"])


def _rsub(build: Translation, call: Node) -> str:
    given = arguments(call)
    return _sum(build, call, given["other"], given["self"], 1, -given["alpha"])


def _sum(build: Translation, call: Node, a: Any, b: Any, times_a: float, times_b: float) -> str:
    """The sum a * times_a + b * times_b, where one of the two may be constant."""
    if build.constant(a):
        a, b, times_a, times_b = b, a, times_b, times_a
    if build.constant(b):
        shift = _channels(build, call, b, a) * np.float32(times_b)
        return _affine(build, call, a, scale=np.float32(times_a), shift=shift)
    x, y = _affine(build, call, a, scale=np.float32(times_a)), _affine(build, call, b, scale=np.float32(times_b))
    if build.emit.shape(x) != build.emit.shape(y):
        raise refusal(call, f"it broadcasts {sample_shape(b)} to {sample_shape(a)}", "two tensors of one shape")
    return build.emit.add(ops.Add(name=build.name(call), inputs=(x, y)), Kind.REAL, sample_shape(call))


def _mul(build: Translation, call: Node) -> str:
    given = arguments(call)
    x, factor = given["self"], given["other"]
    if build.constant(x):
        x, factor = factor, x
    if not build.constant(factor):
        raise refusal(call, "both factors depend on the network's input", "a constant factor for each channel")
    return _affine(build, call, x, scale=_channels(build, call, factor, x))


def _div(build: Translation, call: Node) -> str:
    given = arguments(call)
    if given.get("rounding_mode") or not build.constant(given["other"]):
        raise refusal(call, "it divides by what depends on the network's input, or rounds", "a constant divisor")
    divisor = _channels(build, call, given["other"], given["self"]).astype(np.float64)
    return _affine(build, call, given["self"], scale=(1 / divisor).astype(np.float32))


def _neg(build: Translation, call: Node) -> str:
    return _affine(build, call, _argument(call), scale=np.float32(-1))


def _affine(
    build: Translation, call: Node, x: Node, scale: np.ndarray | np.float32, shift: np.ndarray | None = None
) -> str:
    source = build.real(x)
    shape = build.emit.shape(source)
    full = np.broadcast_to(np.asarray(scale, np.float32), shape[:1]).copy()
    offset = None if shift is None else np.broadcast_to(shift, shape[:1]).astype(np.float32)
    op = ops.Affine(name=build.name(call), inputs=(source,), scale=full, shift=offset)
    return build.emit.add(op, Kind.REAL, shape)


def _clamp(build: Translation, call: Node) -> str:
    given = arguments(call)
    known = {
        "aten.relu": (0.0, None),
        "aten.relu6": (0.0, 6.0),
        "aten.hardtanh": (given.get("min_val"), given.get("max_val")),
    }
    low, high = known.get(operation(call), (given.get("min"), given.get("max")))
    bounds = [-FAR if low is None else low, INFINITY if high is None else high]
    for i, bound in enumerate(bounds):
        if isinstance(bound, Node):
            value = build.program.constants.get(bound)
            if value is None or value.numel() != 1:
                raise refusal(call, "its bounds differ by channel or depend on the network's input", "two numbers")
            bounds[i] = value.item()
    op = ops.Clamp(name=build.name(call), inputs=(build.real(_argument(call)),), low=bounds[0], high=bounds[1])
    return build.emit.add(op, Kind.REAL, sample_shape(call))


def _prelu(build: Translation, call: Node) -> str:
    given = arguments(call)
    x = build.real(_argument(call))
    if "negative_slope" in given:
        slope = np.float32(given["negative_slope"])
    else:
        slope = _array(build, call, given["weight"], "weight")
    full = np.broadcast_to(slope, build.emit.shape(x)[:1]).astype(np.float32)
    return build.emit.add(ops.PReLU(name=build.name(call), inputs=(x,), slope=full), Kind.REAL, sample_shape(call))


def _max_pool(build: Translation, call: Node) -> str:
    return max_pool(build, call, build.tensor(_argument(call)))


def _avg_pool(build: Translation, call: Node) -> str:
    given = arguments(call)
    if given["ceil_mode"] or given["divisor_override"] is not None:
        raise refusal(call, "ceil_mode or divisor_override is set", "neither of them")
    kernel = pair(given["kernel_size"])
    window = Window(kernel, pair(given["stride"] or kernel), pair(given["padding"]))
    op = ops.AvgPool(
        name=build.name(call),
        inputs=(build.real(_argument(call)),),
        window=window,
        count_padding=given["count_include_pad"],
    )
    return build.emit.add(op, Kind.REAL, sample_shape(call))


def _adaptive_avg_pool(build: Translation, call: Node) -> str:
    x = build.real(_argument(call))
    channels, *pixels = build.emit.shape(x)
    out = sample_shape(call)[1:]
    if tuple(out) == (1, 1):
        return build.emit.add(ops.Mean(name=build.name(call), inputs=(x,)), Kind.REAL, (channels, 1, 1))
    if any(n % m for n, m in zip(pixels, out, strict=True)):
        raise refusal(call, f"{tuple(pixels)} pixels do not divide into {tuple(out)} equal windows", "1x1, or divisors")
    step = (pixels[0] // out[0], pixels[1] // out[1])
    pool = ops.AvgPool(name=build.name(call), inputs=(x,), window=Window(step, step))
    return build.emit.add(pool, Kind.REAL, sample_shape(call))


def _mean(build: Translation, call: Node) -> str:
    given = arguments(call)
    source = _argument(call)
    x = build.emit.real(build.names[source])
    shape, rank = sample_shape(source), source.meta["val"].dim()
    dims = {d % rank for d in given.get("dim") or range(rank)}  # x.mean() names none and takes in the batch too
    map_shape = build.emit.shape(x)
    whole_map = len(map_shape) == 3 and prod(shape[1:]) == prod(map_shape[1:]) and shape[0] == map_shape[0]
    if dims != set(range(2, rank)) or not whole_map:
        raise refusal(
            call, f"it averages over the dimensions {sorted(dims)} of {rank}", "the mean over all pixels of a map"
        )
    mean = build.emit.add(ops.Mean(name=build.name(call), inputs=(x,)), Kind.REAL, (map_shape[0], 1, 1))
    return _as_shape(build, call, mean)


def _view(build: Translation, call: Node) -> str:
    source = _argument(call)
    before, after = source.meta["val"].shape, call.meta["val"].shape
    if before[0] != after[0]:
        raise refusal(
            call, "it moves values between the samples of a batch", "reshaping that keeps the batch, x.flatten(1)"
        )
    return _as_shape(build, call, build.names[source])


def _as_shape(build: Translation, call: Node, x: str) -> str:
    """A view of x: flattened where the call's result is a vector, else x itself, to be viewed again by its reader."""
    shape = sample_shape(call)
    if len(shape) == 1 and len(build.emit.shape(x)) == 3:
        return build.emit.add(ops.Flatten(name=build.name(call), inputs=(x,)), build.emit.kind(x), shape)
    return x


def _slice(build: Translation, call: Node) -> str:
    given = arguments(call)
    source = _argument(call)
    size = source.meta["val"].shape[given["dim"]]
    axis = given["dim"] % source.meta["val"].dim()
    whole = (given["start"] or 0) == 0 and (given["end"] is None or given["end"] >= size)
    if whole and given["step"] == 1:
        return build.names[source]
    if not whole or axis not in (2, 3) or source.meta["val"].dim() != 4:
        raise refusal(
            call, "it takes a part of the channels or pixels", "strides from the first pixel on, x[:, :, ::2, ::2]"
        )
    x = build.tensor(source)
    before = build.emit.ops.get(x)
    stride = [1, 1]
    if isinstance(before, ops.MaxPool) and before.window.kernel == (1, 1) and before.window.padding == (0, 0):
        x, stride = before.inputs[0], list(before.window.stride)
    stride[axis - 2] *= given["step"]
    op = ops.MaxPool(name=build.name(call), inputs=(x,), window=Window((1, 1), (stride[0], stride[1])))
    return build.emit.add(op, build.emit.kind(x), sample_shape(call))


def _pad(build: Translation, call: Node) -> str:
    given = arguments(call)
    around, source = list(given["pad"]), _argument(call)
    if not any(around):
        return build.names[source]
    x = build.real(source)
    at = 2 * (len(build.emit.shape(x)) - 1)
    filled = given.get("mode", "constant") != "constant" or (given["value"] or 0) != 0
    if filled or any(around[:at]) or len(around) != at + 2 or min(around) < 0:
        raise refusal(
            call, "it pads pixels, or with other values than 0", "zeros around the channels; padding= of a layer"
        )
    op = ops.PadChannels(name=build.name(call), inputs=(x,), before=around[at], after=around[at + 1])
    return build.emit.add(op, Kind.REAL, sample_shape(call))


def _cat(build: Translation, call: Node) -> str:
    given = arguments(call)
    parts: list[str] = [build.tensor(node) for node in given["tensors"]]
    if given["dim"] % call.meta["val"].dim() != 1:
        raise refusal(call, "it joins along another dimension than the channels", "torch.cat(..., dim=1)")
    emit = build.emit
    if len({emit.kind(x) for x in parts}) > 1:
        parts = [emit.real(x) for x in parts]
    while len(parts) > 1:
        head, parts = parts[:MAX_INPUTS], parts[MAX_INPUTS:]
        channels = sum(emit.shape(x)[0] for x in head)
        op = ops.Concat(name=build.name(call), inputs=tuple(head))
        parts.insert(0, emit.add(op, emit.kind(head[0]), (channels, *emit.shape(head[0])[1:])))
    return parts[0]


def _same(build: Translation, call: Node) -> str:
    if call.meta["val"].dtype != torch.float32:
        raise refusal(call, f"it converts to {call.meta['val'].dtype}", "torch.float32")
    return build.names[_argument(call)]


def _argument(call: Node) -> Node:
    (source, *_) = call.args
    assert isinstance(source, Node)
    return source


def _array(build: Translation, call: Node, node: Node, what: str) -> np.ndarray:
    """A constant argument, finite."""
    value = build.program.constants.get(node)
    if value is None:
        raise refusal(call, f"its {what} depends on the network's input", "constants")
    return _finite(call, value, what)


def _finite(call: Node, value: Tensor, what: str) -> np.ndarray:
    if not bool(value.isfinite().all()):
        raise LoweringError(f"{describe(call)}: {what} holds NaN or infinite values. Did the training diverge?")
    return value.to(torch.float32).contiguous().numpy()


def _channels(build: Translation, call: Node, value: Any, x: Node) -> np.ndarray:
    """A constant operand as one number for each channel, (C,) or (1,)."""
    if not isinstance(value, Node):
        return np.full(1, value, np.float32)
    constant = build.program.constants[value]
    shape = x.meta["val"].shape
    sizes = [1] * (len(shape) - constant.dim()) + list(constant.shape)
    if len(sizes) != len(shape) or any(n != 1 and (i != 1 or n != shape[1]) for i, n in enumerate(sizes)):
        raise refusal(call, f"its constant of shape {tuple(constant.shape)} differs by pixel", "one number a channel")
    return _finite(call, constant, "a constant").reshape(-1)


OPERATORS: dict[str, Callable[[Translation, Node], str]] = {
    "aten.conv2d": _conv2d,
    "aten.linear": _linear,
    BATCH_NORM: _batch_norm,
    **dict.fromkeys(("aten._native_batch_norm_legit", "aten._native_batch_norm_legit_functional"), _batch_statistics),
    "aten.sign": _three_valued_sign,
    "getitem": _first,
    "aten.add": _add,
    "aten.sub": _sub,
    "aten.rsub": _rsub,
    "aten.mul": _mul,
    "aten.div": _div,
    "aten.neg": _neg,
    **dict.fromkeys(("aten.relu", "aten.relu6", "aten.hardtanh"), _clamp),
    **dict.fromkeys(("aten.clamp", "aten.clamp_min", "aten.clamp_max"), _clamp),
    **dict.fromkeys(("aten.prelu", "aten.leaky_relu"), _prelu),
    "aten.max_pool2d": _max_pool,
    "aten.avg_pool2d": _avg_pool,
    "aten.adaptive_avg_pool2d": _adaptive_avg_pool,
    "aten.mean": _mean,
    **dict.fromkeys(sorted(VIEWS), _view),
    "aten.slice": _slice,
    **dict.fromkeys(("aten.pad", "aten.constant_pad_nd"), _pad),
    "aten.cat": _cat,
    "bitwright.thermometer": thermometer,
    **dict.fromkeys(("aten.clone", "aten.alias", "aten.detach", "aten._to_copy", "aten.contiguous"), _same),
}
