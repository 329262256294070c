"""The NumPy engine: says slowly what the native engine says, and is the same to the caller."""

import os
from typing import Any

import numpy as np

from bitwright.format.outputs import read_outputs, take_apart
from bitwright.format.reader import read
from bitwright.ir.interpret import input_dtype, interpret
from bitwright.ir.ops import Array, Kind
from bitwright.ir.verify import infer


class NumpyEngine:
    """A packed network, run by the interpreter.

    Attributes:
        graph: What the file holds.
        input_shape: Shape of one sample, (C, H, W) or (F,).
        input_kind: REAL or PIXEL.
        input_dtype: float32, or uint8 for pixels.
        output_shape: Shape of one sample's output; where there are several, of the row of all their elements.
        output_shapes: Shapes of one sample of each output by name, where there are several.

    Args:
        path: A .bw file.

    Raises:
        FormatError: If it is not a sound bitwright file.
        OSError: If it cannot be opened.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.graph = read(path)
        types = infer(self.graph)
        self.input_shape: tuple[int, ...] = self.graph.input_type.shape
        self.input_kind: Kind = self.graph.input_type.kind
        self.input_dtype: np.dtype = input_dtype(self.input_kind)
        self.output_shape: tuple[int, ...] = types[self.graph.output].shape
        self.output_shapes = read_outputs(self.graph.meta, self.output_shape)

    def __call__(self, x: Array, *, threads: int | None = None) -> Any:
        """Run a batch.

        Shape:
            x: (N, *input_shape) of `input_dtype`. Output: (N, *output_shape), float32; where there are several,
                a dict or tuple of arrays (N, *shape).

        Args:
            x: The batch.
            threads: Taken for the sake of one interface; NumPy uses what it uses.

        Raises:
            ValueError: If the shape is another one, or threads is not positive.
            TypeError: If x is not a NumPy array of that dtype.
        """
        if threads is not None and threads < 1:
            raise ValueError(f"threads: expected 1 or more, found {threads}.")
        return take_apart(interpret(self.graph, x), self.output_shapes)
