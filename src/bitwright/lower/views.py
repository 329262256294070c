"""Views: values whose elements are those of a tensor, in another order or shape, some more than once or not at all.

Nothing is emitted for reshaping, slicing, transposing or repeating as such: a shuffle of channels passes through shapes
that no tensor of a graph has. Torch's own operations, run on the numbers of the elements instead of on the elements,
say what becomes of them, and an op is looked for when somebody reads the result.
"""

from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from bitwright.ir import ops
from bitwright.ir.limits import MAX_WINDOW
from bitwright.ir.ops import Kind, Window
from bitwright.lower.capture import argument, evaluate, operation, refusal, sample_shape
from bitwright.lower.emit import Emitter
from bitwright.lower.tail import VIEWS

RESHAPING = VIEWS | {"aten.unsqueeze", "aten.unflatten"}  # keep all elements in their order
MOST_ELEMENTS = 1 << 16  # of a view that only a list of its elements describes


@dataclass(frozen=True)
class View:
    """Elements of a batch of a tensor, by their row-major numbers.

    Shape:
        index: as the value in the program, (N, ...), float64 so that any operation of torch takes it.
    """

    tensor: str
    index: Any  # a Tensor, or several of an operation with several results


class Views:
    """Where the values of a program are found, in the order of a tensor's elements or in another one."""

    def __init__(self, emit: Emitter, names: dict[Node, str], batch: int) -> None:
        """Look at the values of `names` on batches of a given size."""
        self.emit, self.names, self.batch = emit, names, batch
        self.moved: dict[Node, View] = {}

    def of(self, node: Node) -> View:
        """A value as elements of the tensor that holds it."""
        if node in self.moved:
            return self.moved[node]
        name = self.names[node]
        elements = self.batch * self.emit.elements(name)
        return View(name, torch.arange(elements, dtype=torch.float64).view(node.meta["val"].shape))

    def follow(self, call: Node, constants: dict[Node, Any]) -> str:
        """Take note of what a call makes of its first argument; returns the tensor that still holds the elements.

        Raises:
            LoweringError: If the call depends on more than this argument.
        """
        source = argument(call)
        if any(node is not source and node not in constants for node in call.all_input_nodes):
            raise refusal(call, "what it takes depends on the network's input", "constant indices")
        if operation(call) in RESHAPING and source not in self.moved and _keeps_batch(source, call):
            return self.names[source]
        view = self.of(source)
        self.moved[call] = View(view.tensor, evaluate(call, {**constants, source: view.index}))
        return view.tensor

    def pick(self, call: Node, number: int) -> str:
        """Take note of one of the results of a call that has several."""
        view = self.moved[argument(call)]
        self.moved[call] = View(view.tensor, view.index[number])
        return view.tensor

    def copy(self, call: Node) -> str:
        """Take note of a copy."""
        source = argument(call)
        if source in self.moved:
            self.moved[call] = View(self.moved[source].tensor, self.moved[source].index.contiguous())
        return self.names[source]

    def spread(self, node: Node) -> str | None:
        """The tensor that a value repeats along the channels or the pixels; None if the value is something else."""
        if node not in self.moved:
            return None
        view = self.moved[node]
        shape = self.emit.shape(view.tensor)
        base = torch.arange(self.batch * prod(shape), dtype=torch.float64).view(self.batch, *shape)
        if base.dim() != view.index.dim() or any(
            n not in (1, m) for n, m in zip(shape, sample_shape(node), strict=True)
        ):
            return None
        return view.tensor if torch.equal(base.expand_as(view.index), view.index) else None

    def tensor(self, node: Node, name: str) -> str:
        """A tensor that holds a value; ops that make it are called `name`.

        Raises:
            LoweringError: If there is no such op.
        """
        shape = sample_shape(node)
        if node not in self.moved:
            found = self._shaped(name, self.names[node], shape)
        else:
            view = self.moved[node]
            index = one_sample(view.index, self.emit.elements(view.tensor))
            if index is None:
                raise refusal(
                    node,
                    "it moves values between the samples of a batch",
                    "reshaping that keeps the batch, x.flatten(1)",
                )
            found = self._gathered(name, view.tensor, index)
        if found is None:
            raise refusal(
                node,
                f"its result has the shape {shape} of one sample",
                "(C, H, W) and (F,); channels in any order; strides from the first pixel on, x[:, :, ::2, ::2]; other "
                f"choices of at most {MOST_ELEMENTS} real values",
            )
        return found

    def _shaped(self, name: str, x: str, shape: tuple[int, ...]) -> str | None:
        """The elements of a tensor, in their order, in another shape."""
        if self.emit.shape(x) == shape:
            return x
        if len(shape) not in (1, 3) or (len(shape) == 3 and self.emit.is_bits(x)):
            return None
        vector = self.emit.flat(name, x)
        return vector if len(shape) == 1 else self.emit.as_map(name, vector, shape)

    def _gathered(self, name: str, x: str, index: Tensor) -> str | None:
        """Elements of a tensor, (...) int64, as a tensor; None where no op makes it."""
        emit, shape = self.emit, tuple(index.shape)
        if len(shape) not in (1, 3):
            return None
        pixels = prod(emit.shape(x)[1:])
        if index.numel() % pixels == 0:
            channels = channels_of(index.reshape(-1, pixels), pixels)
            if channels is not None:
                return self._shaped(name, emit.channels(name, x, channels), shape)
        if len(shape) == len(emit.shape(x)) == 3 and (strided := self._strided(name, x, index)) is not None:
            return strided
        if index.numel() > MOST_ELEMENTS or emit.is_bits(x):
            return None
        return self._shaped(name, emit.channels(name, emit.flat(name, x), index.reshape(-1)), shape)

    def _strided(self, name: str, x: str, index: Tensor) -> str | None:
        """Some channels at every second (third, ...) row and column from the first on: a max-pool of single pixels."""
        if self.emit.kind(x) == Kind.DIGIT:  # which no op pools
            return None
        _, height, width = self.emit.shape(x)
        rows, columns = index.shape[1:]
        down = int(index[0, 1, 0] - index[0, 0, 0]) // width if rows > 1 else height
        across = int(index[0, 0, 1] - index[0, 0, 0]) if columns > 1 else width
        if not (1 <= down <= MAX_WINDOW and 1 <= across <= MAX_WINDOW):
            return None
        if (rows, columns) != ((height - 1) // down + 1, (width - 1) // across + 1):
            return None
        pixels = (torch.arange(rows) * down * width)[:, None] + torch.arange(columns) * across
        first = index[:, :1, :1]
        if not torch.equal(first + pixels, index) or bool((first % (height * width)).any()):
            return None
        source = self.emit.channels(name, x, first.reshape(-1) // (height * width))
        op = ops.MaxPool(name=name, inputs=(source,), window=Window((1, 1), (down, across)))
        return self.emit.add(op, self.emit.kind(x), tuple(index.shape))


def one_sample(index: Tensor, elements: int) -> Tensor | None:
    """What a view takes of one sample, (...) int64; None if it mixes samples or treats them differently."""
    first = torch.arange(len(index), dtype=torch.float64) * elements
    alike = index - first.view(-1, *[1] * (index.dim() - 1))
    same = bool((alike == alike[:1]).all()) and bool(((alike[:1] >= 0) & (alike[:1] < elements)).all())
    return alike[0].long() if same else None


def channels_of(index: Tensor, pixels: int) -> Tensor | None:
    """The channel that each row of element numbers, (K, pixels), is, (K,); None if one is no whole channel."""
    first = index[:, :1]
    whole = torch.equal(first + torch.arange(pixels), index) and not bool((first % pixels).any())
    return first[:, 0] // pixels if whole else None


def _keeps_batch(before: Node, after: Node) -> bool:
    return before.meta["val"].shape[0] == after.meta["val"].shape[0]
