"""Entropy-coded bits: whole bytes of the bitmap by a range asymmetric numeral system (rANS), four states in turn.

A byte's class k is the number of its ones. All bytes of a class are equally frequent: `f[k]` of 65536 slots each, and
their slots follow each other in the order of k, then of the byte. A state x takes a byte whose first slot is c by
x' = (x // f) * 65536 + c + x % f; before, while x' would reach 2^32, its 16 lower bits go out as a word.

The encoder starts from four states of 65536 and takes the bytes from the last to the first, byte i with state i mod 4.
The file holds f[0] to f[8], u16; the four states after all that, u32; and the words, u16, the last one out first, so
that a reader goes forwards throughout. That is within 3 % of M*H(p), for M bits of which the part p are ones.
"""

import struct
from math import comb

import numpy as np

from bitwright.ir.ops import Array

SLOT_BITS = 16
SLOTS = 1 << SLOT_BITS
LEAST = 1 << 16  # of a state; words have as many bits
LANES = 4
HEADER = struct.Struct(f"<9H{LANES}I")
_CLASS = np.array([byte.bit_count() for byte in range(256)])
_ORDER = sorted(range(256), key=lambda byte: (byte.bit_count(), byte))


def frequencies(counts: Array) -> list[int]:
    """The slots of one byte of each class, given how many bytes each has.

    A class that occurs has floor(count * 65536 / (bytes * C(8, k))) slots a byte, but at least 1; the class that occurs
    most, the first of several, what the others leave.
    """
    total, most = int(counts.sum()), int(np.argmax(counts))
    found = [max(1, int(n) * SLOTS // (total * comb(8, k))) if n else 0 for k, n in enumerate(counts)]
    others = sum(comb(8, k) * f for k, f in enumerate(found) if k != most)
    found[most] = (SLOTS - others) // comb(8, most)
    return found


def encode(bits: Array) -> bytes | None:
    """The encoding of bits; None if all bytes are zeros, or all are ones: gaps take less.

    Shape:
        bits: (elements,), bool.
    """
    packed = np.packbits(bits, bitorder="little")
    f = frequencies(np.bincount(_CLASS[packed], minlength=9))
    if max(f) == SLOTS:
        return None
    starts, slots = _starts(f), [f[k] for k in _CLASS]
    states, words = [LEAST] * LANES, []
    lane = len(packed) % LANES
    for byte in reversed(packed.tolist()):
        lane = (lane - 1) % LANES
        x, count = states[lane], slots[byte]
        if x >= count << 16:
            words.append(x & 0xFFFF)
            x >>= 16
        quotient, rest = divmod(x, count)
        states[lane] = (quotient << SLOT_BITS) + starts[byte] + rest
    return HEADER.pack(*f, *states) + np.array(words[::-1], "<u2").tobytes()


def decode(data: bytes, elements: int) -> Array | None:
    """The bits of an encoding, (elements,) bool; None of bytes that are none.

    What follows the last word is not looked at, and other encodings of the same bits are taken, too: whoever does not
    trust the bytes encodes the bits again and compares.
    """
    if len(data) < HEADER.size:
        return None
    *header, a, b, c, d = HEADER.unpack_from(data)
    if not 0 < sum(comb(8, k) * f for k, f in enumerate(header)) <= SLOTS:
        return None
    starts, slots = _starts(header), [header[k] for k in _CLASS]
    symbols = np.repeat(_ORDER, [slots[byte] for byte in _ORDER]).tolist()
    symbols += [_ORDER[0]] * (SLOTS - len(symbols))  # what no encoder uses
    words = iter(np.frombuffer(data, "<u2", (len(data) - HEADER.size) // 2, HEADER.size).tolist())
    states, found = [a, b, c, d], bytearray(-(-elements // 8))
    for i in range(len(found)):
        x = states[i % LANES]
        slot = x & SLOTS - 1
        byte = found[i] = symbols[slot]
        x = slots[byte] * (x >> SLOT_BITS) + slot - starts[byte]
        if x < LEAST:
            word = next(words, None)
            if word is None:
                return None
            x = x << 16 | word
        states[i % LANES] = x
    return np.unpackbits(np.frombuffer(found, np.uint8), count=elements, bitorder="little").astype(np.bool_)


def _starts(f: list[int]) -> list[int]:
    """The first slot of each byte."""
    starts, at = [0] * 256, 0
    for byte in _ORDER:
        starts[byte] = at
        at += f[byte.bit_count()]
    return starts
