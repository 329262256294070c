"""Operators: the real-valued torch operations that a graph has words for, and the function that lowers each.

Such a function takes the translation and a call, and returns the name of the tensor that holds the call's value.
"""

from collections.abc import Callable

from torch.fx import Node

from bitwright.lower import arithmetic, functions, layers, pooling, rearranging
from bitwright.lower.tail import BATCH_NORM
from bitwright.lower.thermometer import thermometer
from bitwright.lower.translate import Translation

OPERATORS: dict[str, Callable[[Translation, Node], str]] = {
    "aten.conv2d": layers.conv2d,
    "aten.linear": layers.linear,
    BATCH_NORM: layers.batch_norm,
    "aten._native_batch_norm_legit": layers.batch_statistics,
    "aten._native_batch_norm_legit_functional": layers.batch_statistics,
    "aten.add": arithmetic.add,
    "aten.sub": arithmetic.sub,
    "aten.rsub": arithmetic.rsub,
    "aten.mul": arithmetic.mul,
    "aten.div": arithmetic.div,
    "aten.neg": arithmetic.neg,
    "aten.pow": arithmetic.square,
    "aten.square": arithmetic.square,
    **dict.fromkeys(("aten.relu", "aten.relu6", "aten.hardtanh"), functions.clamp),
    **dict.fromkeys(("aten.clamp", "aten.clamp_min", "aten.clamp_max"), functions.clamp),
    **dict.fromkeys(("aten.prelu", "aten.leaky_relu"), functions.prelu),
    "aten.abs": functions.magnitude,
    "aten.sigmoid": functions.sigmoid,
    "aten.tanh": functions.tanh,
    "aten.silu": functions.silu,
    "aten.hardsigmoid": functions.hardsigmoid,
    "aten.hardswish": functions.hardswish,
    "aten.sign": functions.three_valued_sign,
    "aten.max_pool2d": pooling.largest,
    "aten.avg_pool2d": pooling.average,
    "aten.adaptive_avg_pool2d": pooling.adaptive_average,
    **dict.fromkeys(("aten.amax", "aten.max"), pooling.maximum),
    **dict.fromkeys(("aten.mean", "aten.sum"), pooling.total),
    **dict.fromkeys(sorted(rearranging.MOVING), rearranging.move),
    "getitem": rearranging.pick,
    **dict.fromkeys(("aten.clone", "aten.alias", "aten.detach", "aten._to_copy", "aten.contiguous"), rearranging.copy),
    **dict.fromkeys(("aten.pad", "aten.constant_pad_nd"), rearranging.pad),
    "aten.cat": rearranging.cat,
    "bitwright.round_to_levels": functions.round_to_levels,
    "bitwright.thermometer": thermometer,
}
