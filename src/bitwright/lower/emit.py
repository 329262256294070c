"""Emit: collects the ops of a graph under unique names, and leaves out what says the same thing twice."""

from dataclasses import fields, replace
from math import prod
from typing import Any

import numpy as np

from bitwright.ir.ops import Affine, Channels, Decode, Flatten, Graph, Kind, Op, TensorType, Unflatten


class Emitter:
    """A graph while it grows: its ops, and the kind and shape of each of their outputs.

    Shapes come from the caller, who has them from torch; `ir.verify` checks them again in the finished graph.
    """

    def __init__(self, input_name: str, input_type: TensorType) -> None:
        """Start from the graph's input."""
        self.input = input_name
        self.types: dict[str, TensorType] = {input_name: input_type}
        self.ops: dict[str, Op] = {}
        self._same: dict[Any, str] = {}

    def add(self, op: Op, kind: Kind, shape: tuple[int, ...]) -> str:
        """Append an op, under a name like its own that is still free; returns the name of its output.

        An op that equals an earlier one is not appended: the earlier one's name comes back.
        """
        op = self._merged(op)
        if isinstance(op, Affine) and op.shift is None and self.kind(op.inputs[0]) == Kind.REAL and _ones(op.scale):
            return op.inputs[0]
        key = (type(op), *(_key(getattr(op, f.name)) for f in fields(op) if f.name not in ("name", "note")))
        if key not in self._same:
            name = self._free(op.name)
            self.ops[name] = replace(op, name=name)
            self.types[name] = TensorType(kind, shape)
            self._same[key] = name
        return self._same[key]

    def kind(self, name: str) -> Kind:
        """What one element of a tensor is."""
        return self.types[name].kind

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of one sample of a tensor."""
        return self.types[name].shape

    def real(self, name: str) -> str:
        """The same tensor as real numbers: bits are decoded, digits to thirds."""
        if self.kind(name) == Kind.DIGIT:
            return self._thirds(name)
        if self.is_bits(name):
            return self.add(Decode(name=f"{name}.decode", inputs=(name,)), Kind.REAL, self.shape(name))
        return name

    def _thirds(self, name: str) -> str:
        shape = self.shape(name)
        digits = self.add(Decode(name=f"{name}.decode", inputs=(name,)), Kind.REAL, shape)
        third = np.full(shape[:1], np.float32(1 / 3))
        return self.add(Affine(name=f"{name}.thirds", inputs=(digits,), scale=third), Kind.REAL, shape)

    def is_bits(self, name: str) -> bool:
        """Whether the elements of a tensor are bits."""
        return self.kind(name) in (Kind.SIGN, Kind.BIT)

    def elements(self, name: str) -> int:
        """Elements of one sample of a tensor."""
        return prod(self.shape(name))

    def flat(self, name: str, x: str) -> str:
        """A map as a vector; an op that makes it is called `name`."""
        before = self.ops.get(x)
        if len(self.shape(x)) == 1:
            return x
        if isinstance(before, Unflatten):
            return before.inputs[0]
        return self.add(Flatten(name=name, inputs=(x,)), self.kind(x), (self.elements(x),))

    def as_map(self, name: str, x: str, shape: tuple[int, ...]) -> str:
        """A vector, of anything but bits, as a map; an op that makes it is called `name`."""
        before = self.ops.get(x)
        if isinstance(before, Flatten) and self.shape(before.inputs[0]) == shape:
            return before.inputs[0]
        return self.add(Unflatten(name=name, inputs=(x,), height=shape[1], width=shape[2]), self.kind(x), shape)

    def channels(self, name: str, x: str, index: Any) -> str:
        """Some channels of a tensor, by their numbers (C,); an op that takes them is called `name`."""
        chosen, before = np.asarray(index, np.int32), self.ops.get(x)
        if isinstance(before, Channels):
            x, chosen = before.inputs[0], before.index[chosen]
        if np.array_equal(chosen, np.arange(self.shape(x)[0])):
            return x
        return self.add(Channels(name=name, inputs=(x,), index=chosen), self.kind(x), (len(chosen), *self.shape(x)[1:]))

    def graph(self, output: str, meta: dict[str, str]) -> Graph:
        """The finished graph, without the ops that its output does not need."""
        needed = {output}
        for op in reversed(self.ops.values()):
            if op.name in needed:
                needed.update(op.inputs)
        kept = tuple(op for op in self.ops.values() if op.name in needed)
        return Graph(self.input, self.types[self.input], kept, output, meta)

    def _merged(self, op: Op) -> Op:
        """An Affine that only scales and one that only shifts become one: the same roundings in the same order."""
        before = self.ops.get(op.inputs[0])
        if not (isinstance(op, Affine) and isinstance(before, Affine)):
            return op
        if before.shift is None and _ones(op.scale):
            return replace(op, inputs=before.inputs, scale=before.scale)
        if before.shift is None and _ones(before.scale):
            return replace(op, inputs=before.inputs)
        return op

    def _free(self, name: str) -> str:
        name = name or "op"
        candidate, count = name, 1
        while candidate in self.types:
            count += 1
            candidate = f"{name}@{count}"
        return candidate


def _ones(scale: np.ndarray) -> bool:
    return bool((scale == 1).all())


def _key(value: Any) -> Any:
    return (value.dtype.str, value.shape, value.tobytes()) if isinstance(value, np.ndarray) else value
