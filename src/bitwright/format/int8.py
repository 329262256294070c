"""Int8: real weights of which each filter lies on a grid of 255 numbers, as one byte each.

Let M be the largest magnitude in a filter and s = M / 127, rounded to float32. On the grid lies what is s * q, rounded
to float32, for an integer q from -127 to 127. The bytes are the scale s of each filter, float32, then q of each weight,
int8. The scale follows from the weights, so there is one encoding of a weight, and every bit of its numbers comes back.
"""

import numpy as np

from bitwright.ir.ops import Array

LARGEST = 127


def size(elements: int, filters: int) -> int:
    """Bytes of the encoding.

    Args:
        elements: Weights, of all filters.
        filters: How many there are.
    """
    return 4 * filters + elements


def encode(weight: Array) -> bytes | None:
    """The encoding of a weight; None if a filter does not lie on its grid.

    Shape:
        weight: (out, ...), float32.
    """
    filters = np.ascontiguousarray(weight, np.float32).reshape(len(weight), -1)
    if _parts(filters[:1]) is None or (parts := _parts(filters)) is None:  # one filter settles it for most weights
        return None
    scale, integers = parts
    return scale.astype("<f4").tobytes() + integers.tobytes()


def decode(data: bytes, offset: int, elements: int, filters: int) -> Array:
    """The weights, (elements,) float32, from the bytes at an offset.

    Args:
        data: As many bytes from the offset on as `size` says, at least.
        offset: Where the encoding starts.
        elements: Weights, of all filters.
        filters: How many there are; they divide the elements.
    """
    scale = np.frombuffer(data, "<f4", filters, offset).astype(np.float32)
    integers = np.frombuffer(data, np.int8, elements, offset + size(0, filters)).reshape(filters, -1)
    return _weights(scale, integers).ravel()


def to_grid(weight: Array) -> Array:
    """A weight whose filters lie on their grids: each number becomes the nearest on a grid of its filter.

    That grid's scale is M / 127, rounded down to 17 significant bits. So its products with integers of 7 bits are
    exact, and the largest of them gives the scale back.

    Shape:
        weight: (out, ...), float32; the result is the same.
    """
    filters = np.asarray(weight, np.float32).reshape(len(weight), -1)
    exact = np.abs(filters).max(axis=1).astype(np.float64) / LARGEST
    unit = np.ldexp(1.0, np.maximum(np.frexp(exact)[1] - 17, -149))  # -149: the least float32 number
    scale = (np.floor(exact / unit) * unit).astype(np.float32)
    return _weights(scale, _integers(filters, scale)).reshape(weight.shape)


def _parts(filters: Array) -> tuple[Array, Array] | None:
    """The scale of each filter and the integers; None where these are not what the filters hold."""
    scale = np.abs(filters).max(axis=1) / np.float32(LARGEST)
    integers = _integers(filters, scale)
    on_grid = np.array_equal(_weights(scale, integers).view(np.int32), filters.view(np.int32))
    return (scale, integers) if on_grid else None


def _integers(filters: Array, scale: Array) -> Array:
    """The nearest integers, int8."""
    quotients = filters / np.where(scale > 0, scale, np.float32(1))[:, None]
    return np.clip(np.rint(quotients), -LARGEST, LARGEST).astype(np.int8)  # no -0, which no grid holds


def _weights(scale: Array, integers: Array) -> Array:
    """(filters, taps) float32."""
    with np.errstate(over="ignore", invalid="ignore"):  # of a damaged file, whose weights are then refused
        return scale[:, None] * integers.astype(np.float32)
