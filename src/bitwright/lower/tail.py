"""Tails: the real function between a source and a sign, read off as one threshold per channel.

A tail is made of torch operations that act on each channel by itself, of max-pools and of flattening. It is never taken
apart: torch evaluates it, on every integer an accumulator can take (`tabulate`), or at the points of a bisection where
the source is real-valued (`bisect`). The threshold is therefore exact for the very operations that were trained.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.fx import Node

from bitwright.lower.capture import Program, arguments, evaluate, operation, sample_shape

QUANTIZE = "bitwright.quantize"
BATCH_NORM = "aten._native_batch_norm_legit_no_training"
BY_CHANNEL = {BATCH_NORM, "aten.prelu"}  # whose constants are one number a channel by definition
MONOTONE = BY_CHANNEL | {
    *("aten.add", "aten.sub", "aten.rsub", "aten.mul", "aten.div", "aten.neg", "aten.minimum", "aten.maximum"),
    *("aten.clamp", "aten.clamp_min", "aten.clamp_max", "aten.relu", "aten.relu6", "aten.hardtanh", "aten.leaky_relu"),
    *("aten.tanh", "aten.sigmoid", "aten.hardsigmoid", "aten.atan", "aten.clone", "getitem"),
}
ELEMENTWISE = MONOTONE | {
    *("aten.abs", "aten.pow", "aten.exp", "aten.sqrt", "aten.sin", "aten.cos", "aten.erf", "aten.elu", "aten.celu"),
    *("aten.selu", "aten.silu", "aten.gelu", "aten.mish", "aten.softplus", "aten.hardswish", "aten.hardshrink"),
    *("aten.softshrink", "aten.threshold"),
}
VIEWS = {"aten.view", "aten.reshape", "aten._unsafe_view", "aten.flatten", "aten.squeeze"}

CELLS = 1 << 22  # elements of a table held at a time
REACH = float(2**64)  # a bisection looks at real numbers up to this magnitude
FAR = float(np.finfo(np.float32).max)  # a threshold that every finite value misses, or with a minus meets


@dataclass(frozen=True)
class Tail:
    """The operations from a source, which is not among them, to a sign, which is the last."""

    source: Node
    calls: tuple[Node, ...]

    @property
    def stages(self) -> tuple[Node, ...]:
        """The operations that move elements: max-pools and flattening."""
        return tuple(call for call in self.calls if is_pool(call) or is_flatten(call))


@dataclass(frozen=True)
class Fold:
    """bit = (x >= threshold) != flip, after the source went through the stages of its tail.

    Of digits, whose thresholds are three, code = the number of rows with -x >= threshold if flip, else x >= threshold.
    A falling function swaps the two ends of what a max-pool compares: `take_min` names its channels, for each stage.
    """

    source: Node
    stages: tuple[Node, ...]
    take_min: tuple[np.ndarray, ...]  # (C,) bool each
    threshold: np.ndarray  # (C,), or (F,) behind a flattening; int32 of an accumulator, float32 of a real source
    flip: np.ndarray  # (C,) or (F,) bool; of a real source it means x <= threshold
    note: str = ""

    @property
    def on_sums(self) -> bool:
        """Whether the source is an accumulator."""
        return self.threshold.dtype == np.int32


def is_pool(call: Node) -> bool:
    """Whether a call is a max-pool."""
    return operation(call) == "aten.max_pool2d"


def is_flatten(call: Node) -> bool:
    """Whether a call turns the map of each sample, (C, H, W), into a vector, (C*H*W,)."""
    if operation(call) not in VIEWS or not isinstance(call.args[0], Node):
        return False
    before, after = call.args[0].meta["val"].shape, call.meta["val"].shape
    return len(before) == 4 and len(after) == 2 and before[0] == after[0]


def trace(program: Program, sign: Node) -> Tail:
    """Walk back from a sign as far as each operation reads one value and acts on each channel by itself."""
    calls = [sign]
    source = sign.args[0]
    assert isinstance(source, Node)
    while (before := _before(program, source)) is not None:
        calls.append(source)
        source = before
    return Tail(source, tuple(reversed(calls)))


def tabulate(
    tail: Tail, program: Program, output: Callable[[Tensor], Tensor], low: np.ndarray, high: np.ndarray
) -> Fold | str:
    """Read a tail off all integers that its accumulator can take.

    Args:
        tail: From the output of a binary layer to a sign.
        program: Holds the constants of the tail.
        output: The layer's real output, (V, C), from accumulators, (V, C) float32, in the engine's arithmetic.
        low: (C,) int64, the smallest accumulator of each channel.
        high: (C,) int64, the largest.

    Returns:
        The fold, or a text that says what is not monotone.
    """
    first, last = int(low.min()), int(high.max())
    cuts = _cuts(tail)
    bounds = torch.from_numpy(low), torch.from_numpy(high)
    rows = max(CELLS // max(len(low), *sample_shape(tail.calls[-1])), 1)
    seen = [_Direction() for _ in (*tail.stages, tail.calls[-1])]
    ones: Any = 0
    for start in range(first, last + 1, rows):
        values = torch.arange(start, min(start + rows, last + 1))[:, None]
        results = _walk(tail, program, output(values.clamp(*bounds).float()))
        for direction, result in zip(seen, results, strict=True):
            direction.take(result)
        ones = ones + (results[-1] > cuts).sum(1)

    for call, direction in zip((*tail.stages, tail.calls[-1]), seen, strict=True):
        both = direction.rises & direction.falls
        if bool(both.any()) and not is_flatten(call):
            return f"what comes before {operation(call)} is not monotone in channel {int(both.nonzero()[0, 0])}"
    flip = seen[-1].falls.numpy()
    count = ones.numpy()
    if len(count) == 1:
        threshold = np.where(flip, first + count, last + 1 - count)[0]
    else:
        threshold = np.where(flip, 1 - first, last + 1) - count
    falls = tuple(d.falls.numpy() for d in seen[:-1])
    return Fold(tail.source, tail.stages, falls, threshold.astype(np.int32), flip)


def bisect(tail: Tail, program: Program) -> Fold | str:
    """Find the float32 at which the tail of a real-valued source flips its sign, in each channel.

    A rounded monotone operation is monotone, so the range of float32 can be halved until nothing is left of it.

    Returns:
        The fold, or a text that says which operation need not be monotone.
    """
    for call in tail.calls[:-1]:
        if not (call in tail.stages or _monotone(program, call)):
            return f"{operation(call)} need not be monotone"

    flatten = next((call for call in tail.stages if is_flatten(call)), None)
    shape = sample_shape(flatten.args[0] if flatten else tail.source)  # pyright: ignore[reportArgumentType]
    shape = (1, *shape) if flatten else (1, shape[0], *[1] * (len(shape) - 1))
    end = int(np.float32(REACH).view(np.int32))
    at_left, at_right = (_walk(tail, program, _float_of(torch.full(shape, keys))) for keys in (-end, end))
    take_min = tuple((a > b)[0].numpy() for a, b in zip(at_left[:-1], at_right[:-1], strict=True))
    found = []
    for cut in _cuts(tail):
        left, right = torch.full(shape, -end), torch.full(shape, end)
        low, high = at_left[-1] > cut, at_right[-1] > cut
        while bool((right - left > 1).any()):
            middle = (left + right) // 2
            stays = (_walk(tail, program, _float_of(middle))[-1] > cut) == low
            stays = stays.view(shape)
            left, right = torch.where(stays, middle, left), torch.where(stays, right, middle)
        found.append(_Crossing(low[0], high[0], _float_of(left).view(-1), _float_of(right).view(-1)))

    falling = np.logical_or.reduce([crossing.falls for crossing in found])
    if len(found) == 1:
        return Fold(tail.source, tail.stages, take_min, found[0].threshold, falling)
    rows = [np.where(crossing.falls, -crossing.threshold, crossing.threshold) for crossing in found]
    return Fold(tail.source, tail.stages, take_min, np.stack(rows), falling)


class _Crossing:
    """Where a monotone function passes a cut, channel by channel: (C,) each.

    Attributes:
        falls: Whether it falls below the cut.
        threshold: The least x above the cut, or where it falls the largest; far away where it is always or never there.
    """

    def __init__(self, low: Tensor, high: Tensor, before: Tensor, after: Tensor) -> None:
        self.falls = (low & ~high).numpy()
        constant = np.where(low.numpy(), np.float32(-FAR), np.float32(FAR))
        rising = (~low & high).numpy()
        threshold = np.where(rising, after.numpy(), np.where(self.falls, before.numpy(), constant))
        self.threshold: np.ndarray = threshold.astype(np.float32)


class _Direction:
    """Whether a sequence of rows rises or falls anywhere, column by column; it arrives in blocks."""

    def __init__(self) -> None:
        self.last: Tensor | None = None
        self.rises: Any = False
        self.falls: Any = False

    def take(self, block: Tensor) -> None:
        rows = block if self.last is None else torch.cat([self.last, block])
        self.rises = (rows[1:] > rows[:-1]).any(0) | self.rises
        self.falls = (rows[1:] < rows[:-1]).any(0) | self.falls
        self.last = rows[-1:]


def _cuts(tail: Tail) -> Tensor:
    """Between which values of its last call a tail decides: (1, 1, 1) for bits, (3, 1, 1) for digits."""
    cuts = (-2 / 3, 0.0, 2 / 3) if operation(tail.calls[-1]) == QUANTIZE else (0.0,)
    return torch.tensor(cuts)[:, None, None]


def _walk(tail: Tail, program: Program, x: Tensor) -> list[Tensor]:
    """What reaches each stage, (V, C), and at last what leaves the sign, (V, C or F), for one value per channel.

    The values x are (V, C), or have the shape at the flattening; a max-pool of equal values is left out.
    """
    rank = len(sample_shape(tail.source))
    if rank == 3 and x.dim() == 2:
        x = x[:, :, None, None]
    node, found = tail.source, []
    with torch.no_grad():
        for call in tail.calls:
            if call in tail.stages:
                found.append(x if x.dim() == 2 else x[:, :, 0, 0])
            if is_flatten(call):
                x = x.expand(len(x), *sample_shape(call.args[0])).flatten(1)  # pyright: ignore[reportArgumentType]
            elif not is_pool(call):
                x = evaluate(call, {**program.constants, node: x})
            node = call
    return [*found, x.flatten(1)]


def _before(program: Program, call: Node) -> Node | None:
    """The one value that a call of a tail reads; None if the call cannot be part of a tail."""
    reads = [node for node in call.all_input_nodes if node not in program.constants]
    if len(reads) != 1:
        return None
    (source,) = reads
    if operation(call) == "getitem":  # the first of the values of a batch norm
        return source if call.args[1] == 0 and _before(program, source) is not None else None
    if is_pool(call) or is_flatten(call):
        return source
    if operation(call) not in ELEMENTWISE:
        return None
    constants = [node for node in call.all_input_nodes if node is not source]
    by_channel = operation(call) in BY_CHANNEL or all(_uniform(program.constants[c], source) for c in constants)
    return source if by_channel else None


def _uniform(constant: Tensor, x: Node) -> bool:
    """Whether a constant is the same all over each channel of x, and does not enlarge it."""
    shape = x.meta["val"].shape
    sizes = [1] * (len(shape) - constant.dim()) + list(constant.shape)
    return len(sizes) == len(shape) and all(
        size == 1 or (axis == 1 and size == shape[1]) for axis, size in enumerate(sizes)
    )


def _monotone(program: Program, call: Node) -> bool:
    name = operation(call)
    if name in ("aten.mul", "aten.div"):  # not x * x, nor 1 / x
        factors = [arg for arg in call.args if isinstance(arg, Node) and arg not in program.constants]
        return len(factors) == 1 and (name == "aten.mul" or call.args[0] in factors)
    if name == "aten.prelu":
        return bool((program.constants[call.args[1]] >= 0).all())  # pyright: ignore[reportArgumentType]
    if name == "aten.leaky_relu":
        return arguments(call)["negative_slope"] >= 0
    return name in MONOTONE


def _float_of(keys: Tensor) -> Tensor:
    """Float32 numbers from int64 keys of the same order: the bits of the magnitude, with the sign in front."""
    magnitude = keys.abs().to(torch.int32).view(torch.float32)
    return torch.where(keys < 0, -magnitude, magnitude)
