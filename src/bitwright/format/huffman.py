"""Huffman: kernels in a code of their own; the more often a kernel occurs in the layer, the fewer bits it takes.

The code is canonical: it follows from the length of each kernel's code word, and the lengths from how often each kernel
occurs. The bytes are K - 1, u16, of the K kernels that occur; the least and the greatest length, u8; and then these
bits, packed as bits are everywhere: the set of the K, as kernel_set.py has it; of each of them, its length less the
least one, in as many bits as the greatest difference needs; and the code words of all kernels, the highest bit of each
first.
"""

import struct

import numpy as np

from bitwright.format import kernel_set
from bitwright.ir.ops import Array

LONGEST = 16  # of a code word
HEADER = struct.Struct("<HBB")


def code_lengths(counts: Array) -> Array:
    """The lengths of the code words, (K,) int64, of at least two kernels, by how often each occurs.

    Huffman's algorithm: the two rarest nodes are joined, again and again. Of equally rare ones, kernels come before
    joined nodes, lower kernels before higher ones, and what was joined earlier before the rest. If a word then has more
    than 16 bits, every count c becomes ceil(c / 2), and all starts again, the kernels in the same order.

    Shape:
        counts: (K,), in the order of the kernels.
    """
    order = np.argsort(counts, kind="stable")
    weights = counts[order].tolist()
    while max(depths := _depths(weights)) > LONGEST:
        weights = [(weight + 1) // 2 for weight in weights]
    lengths = np.empty(len(weights), np.int64)
    lengths[order] = depths
    return lengths


def code_words(lengths: Array) -> Array:
    """The canonical code words, (K,) int64, by length and then by kernel; the first bit to be stored is the lowest."""
    words, word, before = np.empty_like(lengths), 0, 0
    for i in np.argsort(lengths, kind="stable").tolist():
        length = int(lengths[i])
        word <<= length - before
        words[i] = int(f"{word:0{length}b}"[::-1], 2)
        word, before = word + 1, length
    return words


def encode(bits: Array, taps: int) -> bytes | None:
    """The encoding of bits; None if kernels have one tap, or more than 16, or are all the same: patterns take less.

    Shape:
        bits: (elements,), bool.
    """
    if not kernel_set.are_kernels(bits.size, taps):
        return None
    found, indices, counts = np.unique(kernel_set.numbers(bits, taps), return_inverse=True, return_counts=True)
    if found.size == 1:
        return None
    lengths = code_lengths(counts)
    least, most = int(lengths.min()), int(lengths.max())
    words, stored = kernel_set.bits_of(code_words(lengths), most), np.arange(most) < lengths[:, None]
    differences = kernel_set.bits_of(lengths - least, (most - least).bit_length())
    parts = [kernel_set.encode(found, taps), differences.ravel(), words[indices][stored[indices]]]
    packed = np.packbits(np.concatenate(parts), bitorder="little")
    return HEADER.pack(found.size - 1, least, most) + packed.tobytes()


def decode(data: bytes, elements: int, taps: int) -> Array | None:
    """The bits of an encoding, (elements,) bool; None of bytes that are none.

    What follows the last word is not looked at, and other encodings of the same bits are taken, too: whoever does not
    trust the bytes encodes the bits again and compares.
    """
    if not kernel_set.are_kernels(elements, taps) or len(data) < HEADER.size:
        return None
    last, least, most = HEADER.unpack_from(data)
    stored = np.unpackbits(np.frombuffer(data, np.uint8, offset=HEADER.size), bitorder="little")
    found = kernel_set.decode(stored, last + 1, taps)
    if found is None or not 1 <= least <= most <= LONGEST:
        return None
    stored = stored[kernel_set.set_bits(last + 1, taps) :]
    width = (most - least).bit_length()
    if stored.size < found.size * width:
        return None
    lengths = np.full(found.size, least)
    if width:
        lengths += kernel_set.numbers(stored[: found.size * width], width)
    if lengths.max() > most or (1 << most - lengths).sum() != 1 << most:  # not every stream of bits is one of words
        return None
    indices = _indices(stored[found.size * width :].tolist(), lengths, elements // taps)
    return None if indices is None else kernel_set.bits_of(found, taps)[indices].ravel()


def _depths(weights: list[int]) -> list[int]:
    """How many nodes are above each, of ascending weights."""
    kernels = len(weights)
    nodes, above = list(weights), [0] * (2 * kernels - 1)
    leaf, joined = 0, kernels
    for node in range(kernels, 2 * kernels - 1):
        weight = 0
        for _ in range(2):
            if joined == node or (leaf < kernels and nodes[leaf] <= nodes[joined]):
                child, leaf = leaf, leaf + 1
            else:
                child, joined = joined, joined + 1
            above[child] = node
            weight += nodes[child]
        nodes.append(weight)
    depths = [0] * len(nodes)
    for node in reversed(range(len(nodes) - 1)):
        depths[node] = depths[above[node]] + 1
    return depths[:kernels]


def _indices(stored: list[int], lengths: Array, count: int) -> list[int] | None:
    """The number of each kernel among those that occur; None if the code words end too early."""
    words = zip(lengths.tolist(), code_words(lengths).tolist(), strict=True)
    index_of = {length_and_word: i for i, length_and_word in enumerate(words)}
    indices, word, length = [], 0, 0
    for bit in stored:
        if len(indices) == count:
            break
        word |= bit << length
        length += 1
        if (index := index_of.get((length, word))) is not None:
            indices.append(index)
            word = length = 0
    return indices if len(indices) == count else None
