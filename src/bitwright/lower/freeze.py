"""Freeze: evaluate once what depends on no input, and read the levels of every binary layer."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.fx import Node

from bitwright.core.levels import Levels, read_levels
from bitwright.errors import LoweringError
from bitwright.ir.ops import Window
from bitwright.lower.capture import Program, describe, evaluate, operation

LAYERS = {"bitwright.binary_conv2d", "bitwright.binary_linear"}


@dataclass(frozen=True)
class BinaryLayer:
    """A layer whose input and weight are binary: its accumulator, and the real output that follows from it."""

    call: Node
    levels: Levels
    bias: Tensor | None
    window: Window | None  # None of a linear layer
    groups: int = 1

    @property
    def integer(self) -> bool:
        """Whether the output depends on one integer alone; in the general domain a window sum joins it."""
        return self.levels.kind != "general"

    @property
    def signed(self) -> bool:
        """Whether a weight bit of 0 counts as -1 in the accumulator, rather than as 0."""
        return self.levels.kind == "symmetric"

    @property
    def scale(self) -> Tensor:
        """(C,) What the accumulator is multiplied by."""
        return self.levels.scale if self.signed else self.levels.step

    def reach(self) -> tuple[np.ndarray, np.ndarray]:
        """The smallest and the largest accumulator of each channel, (C,) int64, whatever the input."""
        bits = self.levels.bits.flatten(1)
        taps = torch.full_like(bits[:, 0], bits.shape[1], dtype=torch.int64) if self.signed else bits.sum(1)
        return (-taps).numpy(), taps.numpy()

    def output(self, acc: Tensor, window_sum: Tensor | None = None) -> Tensor:
        """The real output in the engine's arithmetic: one float32 rounding an operation.

        Shape:
            acc: (N, C, ...) float32 integers; window_sum: the same, where the domain is general.
        """
        shape = (-1, *[1] * (acc.dim() - 2))
        y = acc * self.scale.view(shape)
        if window_sum is not None:
            y = y + window_sum * self.levels.low.view(shape)
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
    _, weight, bias, *geometry = call.args
    for role, node in (("weight", weight), ("bias", bias)):
        if isinstance(node, Node) and node not in program.constants:
            raise LoweringError(f"{describe(call)}: its {role} depends on the network's input; a file holds constants.")
    try:
        levels = read_levels(program.constants[weight])  # pyright: ignore[reportArgumentType]
    except LoweringError as error:
        raise LoweringError(
            f"{describe(call)}: {str(error).rstrip('.')}. Its weight_binarizer breaks the two-level law; "
            "run bw.check_binarizer(...) on it."
        ) from None
    shift = program.constants[bias] if isinstance(bias, Node) else None
    if not geometry:
        return BinaryLayer(call, levels, shift, None)
    stride, padding, dilation, groups = geometry
    window = Window(tuple(levels.bits.shape[2:]), tuple(stride), tuple(padding), tuple(dilation))  # pyright: ignore
    return BinaryLayer(call, levels, shift, window, groups)  # pyright: ignore[reportArgumentType]
