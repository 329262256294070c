"""Kernels as numbers, and the set of those that occur: what patterns.py and huffman.py share.

A kernel is the taps of one input channel in one filter: as a number, tap j, row-major, is bit j. A set of K kernels of
t taps is stored as its numbers in ascending order, t bits each, or as a bit for each of the 2^t numbers there are, if
this takes fewer bits.
"""

import numpy as np

from bitwright.ir.ops import Array

MOST_TAPS = 16


def are_kernels(elements: int, taps: int) -> bool:
    """Whether bits are to be seen as kernels of so many taps: of at least 2, and at most 16."""
    return 2 <= taps <= MOST_TAPS and elements % taps == 0


def numbers(bits: Array, width: int) -> Array:
    """Numbers of `width` bits each, at most 16, the lowest bit first: (elements / width,) int64.

    Shape:
        bits: (elements,), of 0 and 1.
    """
    rows = np.packbits(bits.reshape(-1, width), axis=1, bitorder="little")
    return sum((rows[:, i].astype(np.int64) << 8 * i for i in range(1, rows.shape[1])), rows[:, 0].astype(np.int64))


def bits_of(values: Array, width: int) -> Array:
    """The bits of numbers, the lowest first: (count, width) bool.

    Shape:
        values: (count,), int64.
    """
    return (values[:, None] >> np.arange(width) & 1).astype(np.bool_)


def set_bits(count: int, taps: int) -> int:
    """How many bits a set of so many kernels takes."""
    return min(count * taps, 1 << taps)


def encode(found: Array, taps: int) -> Array:
    """The bits of a set: (set_bits,) bool.

    Shape:
        found: (count,), int64, ascending.
    """
    if found.size * taps <= 1 << taps:
        return bits_of(found, taps).ravel()
    present = np.zeros(1 << taps, np.bool_)
    present[found] = True
    return present


def decode(stored: Array, count: int, taps: int) -> Array | None:
    """The kernels, (count,) int64, of the set that some bits begin with; None if these are not as many, ascending ones.

    Shape:
        stored: (bits,), of 0 and 1.
    """
    if count > 1 << taps or stored.size < set_bits(count, taps):
        return None
    if count * taps <= 1 << taps:
        found = numbers(stored[: count * taps], taps)
        return found if (np.diff(found) > 0).all() else None
    found = np.flatnonzero(stored[: 1 << taps])
    return found if found.size == count else None
