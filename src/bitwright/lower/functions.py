"""Functions of single elements: clamps, slopes, sigmoid, tanh and what is made of them."""

import numpy as np
from torch.fx import Node

from bitwright.core.custom_ops import level_step
from bitwright.ir import ops
from bitwright.ir.ops import Kind
from bitwright.lower.arithmetic import affine
from bitwright.lower.capture import argument, arguments, operation
from bitwright.lower.constants import array
from bitwright.lower.tail import FAR
from bitwright.lower.translate import Translation, refusal

INFINITY = float("inf")


def clamp(build: Translation, call: Node) -> str:
    """ReLU, hardtanh and the like: limits below and above."""
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
    return _clamp(build, call, build.real(argument(call)), bounds[0], bounds[1])


def prelu(build: Translation, call: Node) -> str:
    """A slope for what is not above 0."""
    given = arguments(call)
    if "negative_slope" in given:
        return _prelu(build, call, np.float32(given["negative_slope"]))
    return _prelu(build, call, array(build, call, given["weight"], "weight"))


def magnitude(build: Translation, call: Node) -> str:
    """The absolute value: a slope of -1 for what is not above 0."""
    return _prelu(build, call, np.float32(-1))


def sigmoid(build: Translation, call: Node) -> str:
    """The logistic function."""
    return _function(build, call, ops.Sigmoid, build.real(argument(call)))


def tanh(build: Translation, call: Node) -> str:
    """The hyperbolic tangent."""
    return _function(build, call, ops.Tanh, build.real(argument(call)))


def silu(build: Translation, call: Node) -> str:
    """X * sigmoid(x)."""
    x = build.real(argument(call))
    return _times(build, call, x, _function(build, call, ops.Sigmoid, x))


def hardsigmoid(build: Translation, call: Node) -> str:
    """X / 6 + 1/2 between 0 and 1."""
    return _hardsigmoid(build, call, build.real(argument(call)))


def hardswish(build: Translation, call: Node) -> str:
    """X * hardsigmoid(x)."""
    x = build.real(argument(call))
    return _times(build, call, x, _hardsigmoid(build, call, x))


def round_to_levels(build: Translation, call: Node) -> str:
    """Levels evenly spaced over [-1, 1]: integers between two lines."""
    step, inverse = level_step(arguments(call)["bits"])
    x = _clamp(build, call, build.real(argument(call)), -1.0, 1.0)
    x = affine(build, call, x, scale=np.float32(1), shift=np.ones(1, np.float32))
    x = affine(build, call, x, scale=np.float32(inverse))
    whole = ops.FixedPoint(name=build.name(call), inputs=(x,), fraction=0)
    x = build.emit.add(whole, Kind.REAL, build.emit.shape(x))
    levels = affine(build, call, x, scale=np.float32(step), shift=np.full(1, -1, np.float32))
    build.signs[levels] = call
    return levels


def _clamp(build: Translation, call: Node, x: str, low: float, high: float) -> str:
    op = ops.Clamp(name=build.name(call), inputs=(x,), low=low, high=high)
    return build.emit.add(op, Kind.REAL, build.emit.shape(x))


def _prelu(build: Translation, call: Node, slope: np.ndarray | np.float32) -> str:
    x = build.real(argument(call))
    full = np.broadcast_to(slope, build.emit.shape(x)[:1]).astype(np.float32)
    op = ops.PReLU(name=build.name(call), inputs=(x,), slope=full)
    return build.emit.add(op, Kind.REAL, build.emit.shape(x))


def _function(build: Translation, call: Node, kind: type[ops.Sigmoid | ops.Tanh], x: str) -> str:
    return build.emit.add(kind(name=build.name(call), inputs=(x,)), Kind.REAL, build.emit.shape(x))


def _hardsigmoid(build: Translation, call: Node, x: str) -> str:
    line = affine(build, call, x, scale=np.float32(1 / 6), shift=np.full(1, 0.5, np.float32))
    return _clamp(build, call, line, 0.0, 1.0)


def _times(build: Translation, call: Node, x: str, y: str) -> str:
    op = ops.Multiply(name=build.name(call), inputs=(x, y))
    return build.emit.add(op, Kind.REAL, build.emit.shape(x))


def three_valued_sign(build: Translation, call: Node) -> str:
    """The sign of torch has no place in a graph."""
    raise refusal(call, "it has a third value, 0 at 0", "the estimators of bitwright, whose sign(0) is +1")
