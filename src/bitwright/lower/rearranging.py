"""Rearranging: what moves elements without changing them, pads them with zeros, or joins them."""

from collections.abc import Iterable

import numpy as np
import torch
from torch.fx import Node

from bitwright.ir import ops
from bitwright.ir.limits import MAX_INPUTS
from bitwright.ir.ops import Kind, Window
from bitwright.lower.capture import argument, arguments, operation
from bitwright.lower.tail import BATCH_NORM
from bitwright.lower.translate import Translation, refusal
from bitwright.lower.views import RESHAPING

MOVING = RESHAPING | {
    *("aten.permute", "aten.transpose", "aten.movedim", "aten.t", "aten.expand", "aten.repeat"),
    *("aten.repeat_interleave", "aten.slice", "aten.narrow", "aten.select", "aten.split", "aten.split_with_sizes"),
    *("aten.chunk", "aten.unbind", "aten.index", "aten.index_select", "aten.flip", "aten.roll"),
    *("aten.channel_shuffle", "aten.native_channel_shuffle", "aten.pixel_shuffle", "aten.pixel_unshuffle"),
}


def move(build: Translation, call: Node) -> str:
    """Whatever takes elements in another order or shape."""
    return build.views.follow(call, build.program.constants)


def pick(build: Translation, call: Node) -> str:
    """One of several results: of a split, or the first of a batch norm or a maximum."""
    source, number = call.args
    if isinstance(source, Node) and isinstance(number, int) and source in build.views.moved:
        return build.views.pick(call, number)
    if not isinstance(source, Node) or operation(source) not in (BATCH_NORM, "aten.max") or number != 0:
        raise refusal(call, "it takes one of several results", "operations with one result")
    return build.names[source]


def copy(build: Translation, call: Node) -> str:
    """The same values."""
    if call.meta["val"].dtype != torch.float32:
        raise refusal(call, f"it converts to {call.meta['val'].dtype}", "torch.float32")
    return build.views.copy(call)


def pad(build: Translation, call: Node) -> str:
    """Zeros around the channels or the pixels; less than none cuts pixels off."""
    given = arguments(call)
    around = list(given["pad"])
    x, name, emit = build.real(argument(call)), build.name(call), build.emit
    rank = len(emit.shape(x))
    filled = given.get("mode", "constant") != "constant" or (given["value"] or 0) != 0
    around += [0] * (2 * rank - len(around))
    channels = around[2 * (rank - 1) :]
    if filled or len(channels) != 2 or min(channels) < 0:
        raise refusal(call, "it pads the batch, or with other values than 0", "zeros around channels and pixels")
    if rank == 3:
        x = _pad_pixels(build, call, x, (around[2], around[3]), (around[0], around[1]))
    if not any(channels):
        return x
    op = ops.PadChannels(name=name, inputs=(x,), before=channels[0], after=channels[1])
    return emit.add(op, Kind.REAL, (sum(channels) + emit.shape(x)[0], *emit.shape(x)[1:]))


def _pad_pixels(build: Translation, call: Node, x: str, rows: tuple[int, int], columns: tuple[int, int]) -> str:
    """Pad by a depthwise convolution, whose kernel has a single 1, since padding is the same on both sides.

    With a rows above and b below, p = max(a, b, 0) of padding and a kernel of 2p - a - b + 1 rows: output o sees input
    o - p + t at tap t, which is o - a for t = p - a.
    """
    if not any((*rows, *columns)):
        return x
    channels, *pixels = build.emit.shape(x)
    padding = tuple(max(*pair, 0) for pair in (rows, columns))
    kernel = tuple(2 * p - sum(pair) + 1 for p, pair in zip(padding, (rows, columns), strict=True))
    weight = np.zeros((channels, 1, *kernel), np.float32)
    weight[:, 0, padding[0] - rows[0], padding[1] - columns[0]] = 1
    window = Window((kernel[0], kernel[1]), padding=(padding[0], padding[1]))
    conv = ops.Conv(
        name=build.name(call), inputs=(x,), weight=weight, bias=None, window=window, groups=channels, note="pads pixels"
    )
    return build.emit.add(conv, Kind.REAL, (channels, pixels[0] + sum(rows), pixels[1] + sum(columns)))


def cat(build: Translation, call: Node) -> str:
    """Tensors one after another along the channels."""
    given = arguments(call)
    nodes: Iterable[Node] = given["tensors"]
    if any(build.constant(node) for node in nodes):
        raise refusal(call, "one of its parts is constant", "parts computed from the network's input")
    parts: list[str] = [build.tensor(node) for node in nodes]
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
