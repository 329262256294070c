"""The tensors of a network with several outputs, in a file's metadata: its one output is a row of all their elements.

The value of the key `outputs` has a line for each tensor, in the order of the row: its name, a blank, and its shape, as
`p3 64x8x8`. Who does not read it gets the row.
"""

from collections.abc import Mapping
from math import prod

from bitwright.errors import FormatError
from bitwright.ir.ops import Array

KEY = "outputs"
MOST_DIMENSIONS = 4

Shapes = dict[str, tuple[int, ...]]


def to_text(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """The value of the key `outputs`.

    Args:
        shapes: Of one sample of each tensor, by its name.
    """
    return "\n".join(f"{name} {'x'.join(map(str, shape))}" for name, shape in shapes.items())


def read_outputs(meta: Mapping[str, str], output_shape: tuple[int, ...]) -> Shapes:
    """Shapes of the tensors in the row, by their names; none where the output is a tensor like any other.

    Args:
        meta: Of the file.
        output_shape: Of its output, one sample.

    Raises:
        FormatError: If the metadata do not fit the output.
    """
    if KEY not in meta:
        return {}
    shapes: Shapes = {}
    for line in meta[KEY].split("\n"):
        name, _, text = line.rpartition(" ")
        numbers = text.split("x")
        sound = len(numbers) <= MOST_DIMENSIONS and all(n.isascii() and n.isdigit() and len(n) < 10 for n in numbers)
        if not name or not sound or name in shapes:
            raise FormatError(f"outputs: expected a new name and a shape, as 'p3 64x8x8', found {line!r}.")
        shapes[name] = tuple(map(int, numbers))
    total = sum(prod(shape) for shape in shapes.values())
    if output_shape != (total,):
        raise FormatError(f"outputs: expected the shapes of {output_shape} numbers, found those of {total}.")
    return shapes


def take_apart(y: Array, shapes: Shapes) -> Array | dict[str, Array] | tuple[Array, ...]:
    """The tensors of a row: a dict, or a tuple where their names are 0, 1, ...; without shapes, y itself.

    Shape:
        y: (N, elements). Tensors: (N, *shape).

    Args:
        y: Output of a graph.
        shapes: As `read_outputs` has them.
    """
    if not shapes:
        return y
    parts: dict[str, Array] = {}
    start = 0
    for name, shape in shapes.items():
        stop = start + prod(shape)
        parts[name] = y[:, start:stop].reshape(len(y), *shape)
        start = stop
    return tuple(parts.values()) if [*parts] == [str(i) for i in range(len(parts))] else parts
