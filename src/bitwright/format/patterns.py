"""Patterns: kernels of which few differ, as numbers in the set of those that occur.

With K kernels in the set, each kernel is an index of tau = ceil(log2(K)) bits. The bytes are K - 1, u16, and then these
bits, packed as bits are everywhere: the set, as kernel_set.py has it, and all indices. For the 2^tau patterns of a
Sub-bit network, and kernels of 3x3, that is tau / 9 bits a weight and a table.
"""

import struct

import numpy as np

from bitwright.format import kernel_set
from bitwright.ir.ops import Array

HEADER = struct.Struct("<H")


def encode(bits: Array, taps: int) -> bytes | None:
    """The encoding of bits; None if kernels have one tap, or more than 16.

    Shape:
        bits: (elements,), bool.
    """
    if not kernel_set.are_kernels(bits.size, taps):
        return None
    found, indices = np.unique(kernel_set.numbers(bits, taps), return_inverse=True)
    width = (found.size - 1).bit_length()
    stored = np.concatenate([kernel_set.encode(found, taps), kernel_set.bits_of(indices, width).ravel()])
    return HEADER.pack(found.size - 1) + np.packbits(stored, bitorder="little").tobytes()


def decode(data: bytes, elements: int, taps: int) -> Array | None:
    """The bits of an encoding, (elements,) bool; None of bytes that are none.

    What follows the last index is not looked at, and other encodings of the same bits are taken, too: whoever does not
    trust the bytes encodes the bits again and compares.
    """
    if not kernel_set.are_kernels(elements, taps) or len(data) < HEADER.size:
        return None
    count = HEADER.unpack_from(data)[0] + 1
    stored = np.unpackbits(np.frombuffer(data, np.uint8, offset=HEADER.size), bitorder="little")
    found = kernel_set.decode(stored, count, taps)
    if found is None:
        return None
    width, kernels = (count - 1).bit_length(), elements // taps
    if count == 1:
        return np.tile(kernel_set.bits_of(found, taps).ravel(), kernels)
    codes = stored[kernel_set.set_bits(count, taps) :][: kernels * width]
    if codes.size < kernels * width:
        return None
    indices = kernel_set.numbers(codes, width)
    return kernel_set.bits_of(found, taps)[indices].ravel() if indices.max() < count else None
