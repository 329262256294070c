"""Constants: arguments of a call that do not depend on the network's input, as arrays."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.fx import Node

from bitwright.errors import LoweringError
from bitwright.lower.capture import describe
from bitwright.lower.translate import Translation, refusal


def array(build: Translation, call: Node, node: Node, what: str) -> np.ndarray:
    """A constant argument, float32 and finite.

    Raises:
        LoweringError: If it depends on the network's input, or holds NaN or infinite values.
    """
    value = build.program.constants.get(node)
    if value is None:
        raise refusal(call, f"its {what} depends on the network's input", "constants")
    return finite(call, value, what)


def finite(call: Node, value: Tensor, what: str) -> np.ndarray:
    """The values of a constant, float32.

    Raises:
        LoweringError: If some are NaN or infinite.
    """
    if not bool(value.isfinite().all()):
        raise LoweringError(f"{describe(call)}: {what} holds NaN or infinite values. Did the training diverge?")
    return value.to(torch.float32).contiguous().numpy()


def by_channel(build: Translation, call: Node, value: Any, x: Node) -> np.ndarray | None:
    """A constant operand as one number for each channel of x, (C,) or (1,); None if it differs by pixel.

    Raises:
        LoweringError: If it holds NaN or infinite values.
    """
    if not isinstance(value, Node):
        return np.full(1, value, np.float32)
    constant = build.program.constants[value]
    shape = x.meta["val"].shape
    sizes = [1] * (len(shape) - constant.dim()) + list(constant.shape)
    if len(sizes) != len(shape) or any(n != 1 and (i != 1 or n != shape[1]) for i, n in enumerate(sizes)):
        return None
    return finite(call, constant, "a constant").reshape(-1)
