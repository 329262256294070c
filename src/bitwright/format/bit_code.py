"""The bits of a binary weight, in whichever encoding takes the fewest bytes.

That is the bitmap as it is, gaps.py, entropy.py, patterns.py or huffman.py; the first in this order of several. All but
the bitmap are filled with zeros to a 128th of it, so that a reader's memory stays in proportion to the file.
"""

from collections.abc import Iterator

import numpy as np

from bitwright.format import entropy, gaps, huffman, patterns, spec
from bitwright.ir.ops import Array

MOST_BITS = 128  # of the bitmap for each bit of an encoding


def least_bytes(elements: int) -> int:
    """The fewest bytes that an encoding other than the bitmap may take."""
    return -(-spec.blob_bytes(spec.BITS, elements) // MOST_BITS)


def encode(bits: Array, taps: int, newest: int = spec.HUFFMAN) -> tuple[int, bytes]:
    """The encoding that takes least, and its bytes.

    Shape:
        bits: (elements,), bool.

    Args:
        bits: The bits.
        taps: Of a kernel: height times width; 1 in a linear layer.
        newest: The last encoding that may be taken.
    """
    best = spec.RAW, np.packbits(bits, bitorder="little").tobytes()
    for encoding, data in encodings(bits, taps):
        if encoding <= newest and len(data) < len(best[1]):
            best = encoding, data
    return best


def encodings(bits: Array, taps: int) -> Iterator[tuple[int, bytes]]:
    """All encodings that the bits have, but for the bitmap, filled up with zeros; for the arguments see `encode`."""
    for encoding, data in (
        (spec.GAPS, gaps.encode(bits)),
        (spec.ENTROPY, entropy.encode(bits)),
        (spec.PATTERNS, patterns.encode(bits, taps)),
        (spec.HUFFMAN, huffman.encode(bits, taps)),
    ):
        if data is not None:
            yield encoding, data.ljust(least_bytes(bits.size), b"\0")


def decode(encoding: int, data: bytes, elements: int, taps: int) -> Array | None:
    """The bits, (elements,) bool, that were encoded; None of bytes that are not the encoding of any bits.

    Args:
        encoding: One of `spec.GAPS` to `spec.HUFFMAN`.
        data: The bytes; other bytes of the same bits are taken, too.
        elements: How many bits there are.
        taps: Of a kernel, as in `encode`.
    """
    match encoding:
        case spec.GAPS:
            return gaps.decode(data, elements)
        case spec.ENTROPY:
            return entropy.decode(data, elements)
        case spec.PATTERNS:
            return patterns.decode(data, elements, taps)
        case _:
            return huffman.decode(data, elements, taps)
