"""Freeze: evaluate once what depends on no input, and read the levels of every binary layer."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.fx import Node

from bitwright.core.gated_ops import gated_levels, is_open
from bitwright.core.levels import Levels, read_levels
from bitwright.errors import LoweringError
from bitwright.ir.ops import Window
from bitwright.lower.capture import Program, arguments, describe, evaluate, operation

GATED = "bitwright.gated_conv2d"
LAYERS = {"bitwright.binary_conv2d", "bitwright.binary_linear", GATED}


@dataclass(frozen=True)
class BinaryLayer:
    """A layer whose input and weight are binary: its accumulator, and the real output that follows from it."""

    call: Node
    levels: Levels
    bias: Tensor | None
    window: Window | None  # None of a linear layer
    groups: int = 1
    digits: bool = False  # whether the input is two planes, digits over 3
    threshold: Tensor | None = None  # (C,), of a gated layer

    @property
    def integer(self) -> bool:
        """Whether the output depends on one integer alone; in the general domain a window sum joins it."""
        return self.levels.kind != "general"

    @property
    def signed(self) -> bool:
        """Whether a weight bit of 0 counts as -1 in the accumulator, rather than as 0."""
        return self.levels.kind == "symmetric"

    @property
    def coded(self) -> Levels:
        """The levels that go with accumulators, whose inputs are whole numbers."""
        return self.levels.over(3 if self.digits else 1)

    @property
    def scale(self) -> Tensor:
        """(C,) What the accumulator is multiplied by."""
        return self.coded.scale if self.signed else self.coded.step

    def reach(self) -> tuple[np.ndarray, np.ndarray]:
        """The smallest and the largest accumulator of each channel, (C,) int64, whatever the input."""
        bits = self.levels.bits.flatten(1)
        taps = torch.full_like(bits[:, 0], bits.shape[1], dtype=torch.int64) if self.signed else bits.sum(1)
        most = taps * (3 if self.digits else 1)
        return (-most).numpy(), most.numpy()

    def gate(self) -> np.ndarray | None:
        """(C,) int32, the smallest sum over the high plane that opens each gate, one more than any if none does.

        Found by halving the range of the sums: the gate is monotone.
        """
        if self.threshold is None:
            return None
        taps = self.levels.bits[0].numel()
        shut = torch.full(self.threshold.shape, -taps - 1, dtype=torch.int64)
        opened = torch.full_like(shut, taps + 1)
        while bool((opened - shut > 1).any()):
            middle = (opened + shut) // 2
            opens = is_open(middle.float(), self.levels.scale, self.threshold)
            shut, opened = torch.where(opens, shut, middle), torch.where(opens, middle, opened)
        return opened.to(torch.int32).numpy()

    def output(self, acc: Tensor, window_sum: Tensor | None = None) -> Tensor:
        """The real output in the engine's arithmetic: one float32 rounding an operation.

        Shape:
            acc: (N, C, ...) float32 integers; window_sum: the same, where the domain is general.
        """
        shape = (-1, *[1] * (acc.dim() - 2))
        y = acc * self.scale.view(shape)
        if window_sum is not None:
            y = y + window_sum * self.coded.low.view(shape)
        return y if self.bias is None else y + self.bias.view(shape)


def freeze(program: Program) -> Program:
    """Move every call that reads constants only among the constants."""
    constants: dict[Node, Any] = dict(program.constants)
    calls = []
    with torch.no_grad():
        for call in program.calls:
            if all(node in constants for node in call.all_input_nodes):
                constants[call] = evaluate(call, constants)
            else:
                calls.append(call)
    return replace(program, calls=tuple(calls), constants=constants)


def read_layers(program: Program) -> dict[Node, BinaryLayer]:
    """Find the binary layers of a frozen program.

    Raises:
        LoweringError: If a weight depends on the network's input, or breaks the two-level law.
    """
    return {call: _read_layer(program, call) for call in program.calls if operation(call) in LAYERS}


def _read_layer(program: Program, call: Node) -> BinaryLayer:
    given = arguments(call)
    weight, bias, threshold = given["weight"], given["bias"], given.get("threshold")
    for role, node in (("weight", weight), ("bias", bias), ("threshold", threshold)):
        if isinstance(node, Node) and node not in program.constants:
            raise LoweringError(f"{describe(call)}: its {role} depends on the network's input; a file holds constants.")
    read = gated_levels if operation(call) == GATED else read_levels
    try:
        levels = read(program.constants[weight])
    except LoweringError as error:
        raise LoweringError(
            f"{describe(call)}: {str(error).rstrip('.')}. Its weight_binarizer breaks the two-level law; "
            "run bw.check_binarizer(...) on it."
        ) from None
    shift, gates = (program.constants[node] if isinstance(node, Node) else None for node in (bias, threshold))
    digits = operation(call) == GATED or given["digits"]
    if "groups" not in given:
        return BinaryLayer(call, levels, shift, None, digits=digits)
    stride, padding, dilation = (tuple(given[field]) for field in ("stride", "padding", "dilation"))
    window = Window(tuple(levels.bits.shape[2:]), stride, padding, dilation)  # pyright: ignore[reportArgumentType]
    return BinaryLayer(call, levels, shift, window, given["groups"], digits, gates)
