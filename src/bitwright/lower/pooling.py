"""Pooling: maxima, sums and averages, of pixels and of channels."""

from math import prod

import numpy as np
import torch
from torch import Tensor
from torch.fx import Node

from bitwright.errors import LoweringError
from bitwright.ir import ops
from bitwright.ir.limits import MAX_WINDOW
from bitwright.ir.ops import Kind, Window
from bitwright.ir.windows import output_size
from bitwright.lower.arithmetic import affine
from bitwright.lower.capture import argument, arguments, operation, sample_shape
from bitwright.lower.translate import Translation, check_ceil_mode, max_pool, pair, refusal
from bitwright.lower.views import channels_of, one_sample

MOST_ADDED = 4  # channels that are added one by one; more are a convolution


def largest(build: Translation, call: Node) -> str:
    """Max-pool."""
    x = build.tensor(argument(call))
    kernel = pair(arguments(call)["kernel_size"])
    if max(kernel) > MAX_WINDOW and kernel == build.emit.shape(x)[1:]:
        return _slide(build, call, build.emit.real(x), kernel)
    return max_pool(build, call, x)


def maximum(build: Translation, call: Node) -> str:
    """Maximum over all pixels of a map, or over its channels: max-pools whose windows are as large."""
    source = argument(call)
    rank = source.meta["val"].dim()
    given = arguments(call).get("dim")
    dims = {d % rank for d in ([given] if isinstance(given, int) else given or range(rank))}
    if rank != 4 or dims not in ({1}, {2, 3}):
        why = f"it takes the maximum over the dimensions {sorted(dims)} of {rank}"
        raise refusal(call, why, "the maximum over all pixels of a map, or over its channels")
    x = build.real(source)
    channels, *pixels = build.emit.shape(x)
    if dims == {2, 3}:
        return _slide(build, call, x, (pixels[0], pixels[1]))
    name, emit = build.name(call), build.emit
    column = emit.as_map(name, emit.flat(name, x), (1, channels, prod(pixels)))
    highest = _slide(build, call, column, (channels, 1))
    return emit.as_map(name, emit.flat(name, highest), (1, pixels[0], pixels[1]))


def _slide(build: Translation, call: Node, x: str, kernel: tuple[int, int]) -> str:
    """Max-pool by a window that may be higher or wider than an op's: first by windows that overlap, then over these."""
    sizes = [_split(n) for n in kernel]
    window = Window((sizes[0][0], sizes[1][0]), (sizes[0][1], sizes[1][1]))
    channels, *pixels = build.emit.shape(x)
    out = (channels, *output_size(window, pixels[0], pixels[1]))
    y = build.emit.add(ops.MaxPool(name=build.name(call), inputs=(x,), window=window), Kind.REAL, out)
    counts = sizes[0][2], sizes[1][2]
    return y if counts == (1, 1) else _slide(build, call, y, counts)


def _split(size: int) -> tuple[int, int, int]:
    """Kernel, stride and number of the fewest windows that together see so many elements, and no others."""
    count = -(-size // MAX_WINDOW)
    while size - (count - 1) * (size // count) > MAX_WINDOW:
        count += 1
    step = size // count
    return size - (count - 1) * step, step, count


def average(build: Translation, call: Node) -> str:
    """Average pool."""
    given = arguments(call)
    kernel = pair(given["kernel_size"])
    window = Window(kernel, pair(given["stride"] or kernel), pair(given["padding"]))
    check_ceil_mode(call, window)
    if given["divisor_override"] is not None:
        raise refusal(call, "divisor_override is set", "means")
    op = ops.AvgPool(
        name=build.name(call),
        inputs=(build.real(argument(call)),),
        window=window,
        count_padding=given["count_include_pad"],
    )
    return build.emit.add(op, Kind.REAL, sample_shape(call))


def adaptive_average(build: Translation, call: Node) -> str:
    """Average pool to a given size: one pixel, or equal windows."""
    x = build.real(argument(call))
    channels, *pixels = build.emit.shape(x)
    out = sample_shape(call)[1:]
    if tuple(out) == (1, 1):
        return build.emit.add(ops.Mean(name=build.name(call), inputs=(x,)), Kind.REAL, (channels, 1, 1))
    if any(n % m for n, m in zip(pixels, out, strict=True)):
        raise refusal(call, f"{tuple(pixels)} pixels do not divide into {tuple(out)} equal windows", "1x1, or divisors")
    step = (pixels[0] // out[0], pixels[1] // out[1])
    pool = ops.AvgPool(name=build.name(call), inputs=(x,), window=Window(step, step))
    return build.emit.add(pool, Kind.REAL, sample_shape(call))


def total(build: Translation, call: Node) -> str:
    """Mean or sum over all pixels of a map, over its channels, or over equal groups of them."""
    given, source = arguments(call), argument(call)
    rank = source.meta["val"].dim()
    is_mean = operation(call) == "aten.mean"
    dims = {d % rank for d in given.get("dim") or range(rank)}  # x.mean() names none and takes in the batch too
    if 0 in dims:
        raise _no_total(call, dims, rank)
    if (
        dims == {2, 3}
        and source not in build.views.moved
        and build.emit.shape(build.names[source]) == sample_shape(source)
    ):
        return _of_pixels(build, call, build.real(source), is_mean)
    view = build.views.of(source)
    index = one_sample(view.index, build.emit.elements(view.tensor))
    x = build.emit.real(view.tensor)
    if index is None:
        raise _no_total(call, dims, rank)
    kept = [d - 1 for d in range(1, rank) if d not in dims]
    table = index.permute(*kept, *(d - 1 for d in sorted(dims))).reshape(prod(index.shape[d] for d in kept), -1)
    result = _over_pixels(build, call, x, table, is_mean) or _over_channels(build, call, x, table, is_mean)
    if result is None:
        raise _no_total(call, dims, rank)
    return result


def _no_total(call: Node, dims: set[int], rank: int) -> LoweringError:
    verb = "averages" if operation(call) == "aten.mean" else "sums"
    return refusal(
        call,
        f"it {verb} over the dimensions {sorted(dims)} of {rank}",
        "the mean or the sum over all pixels of a map, over the channels, or over equal groups of channels",
    )


def _over_pixels(build: Translation, call: Node, x: str, table: Tensor, is_mean: bool) -> str | None:
    """The mean or sum over the pixels of each channel, if that is what a table (outputs, elements) adds up."""
    shape = build.emit.shape(x)
    pixels = prod(shape[1:])
    whole = torch.arange(prod(shape)).view(-1, pixels)
    if len(shape) != 3 or table.shape != whole.shape or not torch.equal(table.sort(1).values, whole):
        return None
    return _of_pixels(build, call, x, is_mean)


def _of_pixels(build: Translation, call: Node, x: str, is_mean: bool) -> str:
    channels, *pixels = build.emit.shape(x)
    mean = build.emit.add(ops.Mean(name=build.name(call), inputs=(x,)), Kind.REAL, (channels, 1, 1))
    return mean if is_mean else affine(build, call, mean, scale=np.float32(prod(pixels)))


def _over_channels(build: Translation, call: Node, x: str, table: Tensor, is_mean: bool) -> str | None:
    """The mean or sum of some channels for each output channel, if that is what a table (outputs, elements) adds up."""
    shape = build.emit.shape(x)
    pixels, terms = prod(shape[1:]), table.shape[1]
    if len(table) % pixels:
        return None
    groups = channels_of(table.view(-1, pixels, terms).transpose(1, 2).reshape(-1, pixels), pixels)
    if groups is None:
        return None
    channels = groups.reshape(-1, terms)  # (outputs, terms)
    scale = np.float32(1 / terms if is_mean else 1)
    name, emit = build.name(call), build.emit
    if terms <= MOST_ADDED:
        parts = [emit.channels(name, x, channels[:, i]) for i in range(terms)]
        y = parts[0]
        for part in parts[1:]:
            y = emit.add(ops.Add(name=name, inputs=(y, part)), Kind.REAL, emit.shape(y))
        return affine(build, call, y, scale=scale)
    gathered = emit.channels(name, x, channels.reshape(-1))
    out = len(channels)
    if len(shape) == 1:
        gathered = emit.as_map(name, gathered, (out * terms, 1, 1))
    conv = ops.Conv(
        name=name,
        inputs=(gathered,),
        weight=np.full((out, terms, 1, 1), scale, np.float32),
        bias=None,
        window=Window((1, 1)),
        groups=out,
    )
    y = emit.add(conv, Kind.REAL, (out, *(shape[1:] or (1, 1))))
    return emit.flat(name, y) if len(shape) == 1 else y
