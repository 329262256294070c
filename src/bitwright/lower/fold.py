"""Fold: turn the tail of every sign into one threshold per channel, or three where it ends in digits."""

from dataclasses import replace

from torch.fx import Node

from bitwright.ir.ops import Kind
from bitwright.lower.capture import Program, module_path, operation
from bitwright.lower.freeze import BinaryLayer
from bitwright.lower.tail import QUANTIZE, Fold, Tail, bisect, is_pool, tabulate, trace

SIGNS = {"bitwright.sign": Kind.SIGN, "bitwright.step": Kind.BIT, QUANTIZE: Kind.DIGIT}


def fold(program: Program, layers: dict[Node, BinaryLayer]) -> dict[Node, Fold]:
    """The fold of each sign of a frozen program.

    An accumulator is folded by tabulation. Where the source is real-valued, or the tail of an accumulator is not
    monotone, the longest end of the tail that can be bisected is, and the fold's note says why it stayed real. An end
    does not reach back over a max-pool whose real values others read: these are fewer, and there anyway.
    """
    tails = {call: trace(program, call) for call in program.calls if operation(call) in SIGNS}
    read = _read_as_real(program, tails)
    return {call: _fold(program, layers, tail, read) for call, tail in tails.items()}


def _read_as_real(program: Program, tails: dict[Node, Tail]) -> set[Node]:
    """The calls whose result something other than a tail reads."""
    within = {call for tail in tails.values() for call in tail.calls}
    read: set[Node] = set()
    for call in reversed(program.calls):
        if any(user not in within or (user not in tails and user in read) for user in call.users):
            read.add(call)
    return read


def _fold(program: Program, layers: dict[Node, BinaryLayer], tail: Tail, read: set[Node]) -> Fold:
    layer = layers.get(tail.source)
    reason = _real_source(tail.source, layer)
    if layer is not None and layer.integer:
        found = tabulate(tail, program, layer.output, *layer.reach())
        if isinstance(found, Fold):
            return found
        reason = found
    first = max((i + 1 for i, call in enumerate(tail.calls) if is_pool(call) and call in read), default=0)
    for start in range(first, len(tail.calls)):
        source = tail.source if start == 0 else tail.calls[start - 1]
        if isinstance(source.meta["val"], tuple | list):
            continue  # between a batch norm and the choice of its first value
        found = bisect(Tail(source, tail.calls[start:]), program)
        if isinstance(found, Fold):
            return replace(found, note=reason)
        reason = reason if layer is not None and layer.integer else found
    raise AssertionError("a bare sign is monotone")


def _real_source(source: Node, layer: BinaryLayer | None) -> str:
    if layer is not None:
        return "levels of a general domain: an accumulator and a window sum meet in front of the sign"
    if source.op == "placeholder":
        return "the network's input is real-valued"
    where = module_path(source)
    return f"{operation(source).removeprefix('aten.')}{' of ' + where if where else ''} is real-valued"
