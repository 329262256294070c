"""Thermometer: signs that come from the pixels themselves, not from their normalised values."""

import torch
from torch.fx import Node

from bitwright.ir import ops
from bitwright.ir.limits import NO_PIXEL
from bitwright.ir.ops import Kind
from bitwright.lower.capture import evaluate, sample_shape
from bitwright.lower.translate import Translation, refusal


def thermometer(build: Translation, call: Node) -> str:
    """Emit a comparison of pixels, with thresholds that are read off the code of every pixel there is.

    Raises:
        LoweringError: If the code is not that of the file's pixels, or differs by channel.
    """
    source, emit = call.args[0], build.emit
    normalize = emit.ops.get(build.names[build.program.input])
    if (
        source is not build.program.input
        or emit.kind(emit.input) != Kind.PIXEL
        or not isinstance(normalize, ops.Affine)
    ):
        raise refusal(call, "its input is not the file's pixels", "the first layer, with pixels=((0, ...), (1, ...))")
    scale, shift = normalize.scale, 0 if normalize.shift is None else normalize.shift
    values = torch.arange(NO_PIXEL).float().view(-1, 1).numpy() * scale + shift  # (256, C), as in the file
    code = evaluate(call, {**build.program.constants, build.program.input: torch.from_numpy(values)[:, :, None, None]})
    bits = (code > 0).view(NO_PIXEL, len(scale), -1)  # (256, C, B)
    thresholds = NO_PIXEL - bits.sum(0)
    if bool((bits[1:] < bits[:-1]).any()) or bool((thresholds != thresholds[0]).any()):
        raise refusal(call, "its code differs by channel", "one mean and one std for all channels")
    op = ops.Thermometer(name=build.name(call), inputs=(emit.input,), thresholds=thresholds[0].short().numpy())
    name = emit.add(op, Kind.SIGN, sample_shape(call))
    build.signs[name] = call
    return name
