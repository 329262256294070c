"""Two levels: real weights of which each filter holds at most two values, as one bit each.

The bytes are the lower value of each filter, then the higher value of each, float32, then a bit for each weight, packed
as bits are everywhere. Of two float32 numbers that one is lower whose bits are the smaller int32; a filter of one value
has it twice, and bits of 0. So there is one encoding of a weight, and every bit of its numbers comes back.
"""

import numpy as np

from bitwright.ir.ops import Array


def size(elements: int, filters: int) -> int:
    """Bytes of the encoding.

    Args:
        elements: Weights, of all filters.
        filters: How many there are.
    """
    return 8 * filters + -(-elements // 8)


def encode(weight: Array) -> bytes | None:
    """The encoding of a weight; None if a filter holds more than two values.

    Shape:
        weight: (out, ...), float32.
    """
    filters = np.ascontiguousarray(weight, np.float32).reshape(len(weight), -1).view(np.int32)
    if len(np.unique(filters[0])) > 2:  # which settles it for most weights
        return None
    low, high = filters.min(axis=1, keepdims=True), filters.max(axis=1, keepdims=True)
    bits = filters == high
    if not (bits | (filters == low)).all():
        return None
    bits &= low != high
    levels = np.concatenate([low, high]).astype("<i4")
    return levels.tobytes() + np.packbits(bits.ravel(), bitorder="little").tobytes()


def decode(data: bytes, offset: int, elements: int, filters: int) -> Array:
    """The weights, (elements,) float32, from the bytes at an offset.

    Args:
        data: As many bytes from the offset on as `size` says, at least.
        offset: Where the encoding starts.
        elements: Weights, of all filters.
        filters: How many there are; they divide the elements.
    """
    low, high = np.frombuffer(data, "<f4", 2 * filters, offset).astype(np.float32).reshape(2, filters, 1)
    packed = np.frombuffer(data, np.uint8, -(-elements // 8), offset + 8 * filters)
    bits = np.unpackbits(packed, count=elements, bitorder="little").reshape(filters, -1)
    return np.where(bits, high, low).ravel()
