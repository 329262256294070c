"""The bits of a binary weight, in whichever encoding takes the fewest bytes.

That is the bitmap as it is, gaps.py or entropy.py; the first in this order of several. The latter two are filled with
zeros to a 128th of the bitmap, so that a reader's memory stays in proportion to the file.
"""

import numpy as np

from bitwright.format import entropy, gaps, spec
from bitwright.ir.ops import Array

MOST_BITS = 128  # of the bitmap for each bit of an encoding
_CODERS = {spec.GAPS: gaps, spec.ENTROPY: entropy}


def least_bytes(elements: int) -> int:
    """The fewest bytes that an encoding other than the bitmap may take."""
    return -(-spec.blob_bytes(spec.BITS, elements) // MOST_BITS)


def encode(bits: Array, newest: int = spec.NEWEST_ENCODING[spec.VERSION]) -> tuple[int, bytes]:
    """The encoding that takes least, and its bytes.

    Shape:
        bits: (elements,), bool.

    Args:
        bits: The bits.
        newest: The last encoding that may be taken.
    """
    encoding, best = spec.RAW, np.packbits(bits, bitorder="little").tobytes()
    for number, coder in _CODERS.items():
        data = coder.encode(bits) if number <= newest else None
        if data is not None and (padded := data.ljust(least_bytes(bits.size), b"\0")) and len(padded) < len(best):
            encoding, best = number, padded
    return encoding, best


def decode(encoding: int, data: bytes, elements: int) -> Array | None:
    """The bits, (elements,) bool, that were encoded; None of bytes that are not the encoding of any bits.

    Args:
        encoding: `spec.GAPS` or `spec.ENTROPY`.
        data: The bytes; other bytes of the same bits are taken, too.
        elements: How many bits there are.
    """
    return _CODERS[encoding].decode(data, elements)
