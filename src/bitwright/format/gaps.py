"""Gaps: bits of which few are rare, as the distances between the rare ones.

The rare bits are the ones, or the zeros where these are fewer. Each has a gap: the number of bits between the rare one
before it, or the start, and itself. With `r` the `shift` of a gap, its r low bits are stored as they are, all gaps
first; then for each gap a zero for each 2^r in it and a one. The bytes are the number of ones, u32, then these bits,
packed as bits are everywhere. For independent bits, whose gaps are geometric, this takes 0.4 to 4 % more than their
entropy; entropy.py takes less, but has a longer header.
"""

import struct

import numpy as np

from bitwright.ir.ops import Array

HEADER = 4


def shift(elements: int, rare: int) -> int:
    """How many low bits of a gap are stored as they are: the least r with (rare + 1) * 2^(r + 1) >= elements.

    Args:
        elements: Bits, in all.
        rare: How many of them are rare.
    """
    r = 0
    while (rare + 1) << (r + 1) < elements:
        r += 1
    return r


def encode(bits: Array) -> bytes | None:
    """The encoding of bits; None if more than a quarter of them are rare, for which it is not meant.

    Shape:
        bits: (elements,), bool.
    """
    ones = int(np.count_nonzero(bits))
    rare = min(ones, bits.size - ones)
    if 4 * rare > bits.size:
        return None
    r = shift(bits.size, rare)
    gaps = np.diff(np.flatnonzero(bits == (ones == rare)), prepend=-1) - 1
    low = (gaps[:, None] >> np.arange(r) & 1).astype(np.bool_).ravel()
    ends = np.cumsum((gaps >> r) + 1)
    unary = np.zeros(int(ends[-1]) if rare else 0, np.bool_)
    unary[ends - 1] = True
    return struct.pack("<I", ones) + np.packbits(np.concatenate([low, unary]), bitorder="little").tobytes()


def decode(data: bytes, elements: int) -> Array | None:
    """The bits of an encoding, (elements,) bool; None of bytes that are none.

    What follows the last gap is not looked at, and other encodings of the same bits are taken, too: whoever does not
    trust the bytes encodes the bits again and compares.
    """
    if len(data) < HEADER:
        return None
    (ones,) = struct.unpack_from("<I", data)
    if ones > elements:
        return None
    rare = min(ones, elements - ones)
    if rare > 8 * len(data):
        return None
    r = shift(elements, rare)
    stored = np.unpackbits(np.frombuffer(data, np.uint8, offset=HEADER), bitorder="little")
    ends = np.flatnonzero(stored[rare * r :])[:rare]
    if len(ends) < rare:
        return None
    low = stored[: rare * r].reshape(rare, r) @ (1 << np.arange(r, dtype=np.int64))
    positions = np.cumsum((np.diff(ends, prepend=-1) - 1 << r) + low + 1) - 1
    if rare and positions[-1] >= elements:
        return None
    bits = np.full(elements, ones != rare)
    bits[positions] = ones == rare
    return bits
