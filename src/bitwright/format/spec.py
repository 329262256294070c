"""The .bw file: constants, limits and the layout of each op. The prose twin of this page is docs/format.md.

All integers are little-endian. A file is, in this order and each part starting at a multiple of 64 bytes with zeros in
between: header (64 bytes), op table (128 bytes an op), blob table (32 bytes a blob), metadata table (16 bytes a pair),
text (UTF-8), then the blobs' bytes, each blob starting at a multiple of 64, too. Every offset follows from the counts;
those that are stored must equal it. The file ends with its last part, without padding.

Text is the input's name, then name and note of each op, then key and value of each pair, without gaps; so the input's
name is what stands before the first op's. Tensor 0 is the input, tensor i + 1 the output of op i. Blobs are numbered in
the order in which the ops name them, each named once. Whatever is unused is zero, but for an absent blob.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from bitwright.ir import ops
from bitwright.ir.limits import MAX_OPS

MAGIC = b"\x89BW\r\n\x1a\n\x00"
VERSION = 3
ALIGN = 64
NONE = 0xFFFFFFFF  # an absent blob

# magic, version, crc32 of all bytes from 16 on, file bytes, ops, blobs, text bytes, metadata pairs,
# input kind, input dimensions, dims[3] (unused ones are 0), output tensor
HEADER = "<8sIIQIIIIII3II"
# opcode, number of inputs, name offset and length, note offset and length, inputs[4], blobs[4], ints[12], floats[4]
OP = "<HHIIII4I4I12i4f12x"
# offset in the file, bytes, elements, dtype, encoding, filters (0 where the encoding has none)
BLOB = "<QQIIII"
# key offset and length, value offset and length, into the text
META = "<IIII"

MAX_FILE = 1 << 31  # bytes; the other limits are those of ir/limits.py
MAX_OP_BLOBS, MAX_OP_INTS, MAX_OP_FLOATS = 4, 12, 4
MAX_BLOBS = MAX_OP_BLOBS * MAX_OPS

F32, I32, BITS, I16 = (
    0,
    1,
    2,
    3,
)  # blob dtypes; bits are packed lowest first, without gaps, the last byte padded with zeros
# blob encodings; real_code.py is for the `weight` of a real layer only, bit_code.py for that of a binary one
RAW, TWO_LEVELS, GAPS, ENTROPY, PATTERNS, HUFFMAN, INT8 = range(7)
NEWEST_ENCODING: Mapping[int, int] = MappingProxyType({1: TWO_LEVELS, 2: ENTROPY, 3: INT8})  # of each version
DTYPES: Mapping[int, np.dtype] = MappingProxyType(
    {F32: np.dtype("<f4"), I32: np.dtype("<i4"), BITS: np.dtype(np.bool_), I16: np.dtype("<i2")}
)
OPTIONAL = frozenset({"shift", "bias", "take_min", "gate"})  # the blobs that may be absent


@dataclass(frozen=True)
class Layout:
    """Where an op's fields go: which attributes fill `ints`, `floats` and `blobs`, in order.

    A `window` fills eight ints: kernel, stride, padding, dilation, each vertical then horizontal.
    """

    code: int
    ints: tuple[str, ...] = ()
    floats: tuple[str, ...] = ()
    blobs: tuple[tuple[str, int], ...] = ()  # (attribute, dtype)


LAYOUTS: dict[type[ops.Op], Layout] = {
    ops.Affine: Layout(1, blobs=(("scale", F32), ("shift", F32))),
    ops.LevelSum: Layout(2, blobs=(("step", F32), ("low", F32), ("shift", F32))),
    ops.Add: Layout(3),
    ops.PReLU: Layout(4, blobs=(("slope", F32),)),
    ops.Clamp: Layout(5, floats=("low", "high")),
    ops.Binarize: Layout(6, ints=("kind",), blobs=(("threshold", F32),)),
    ops.Threshold: Layout(7, ints=("kind",), blobs=(("threshold", I32), ("flip", BITS))),
    ops.Decode: Layout(8),
    ops.Conv: Layout(9, ints=("window", "groups"), blobs=(("weight", F32), ("bias", F32))),
    ops.BinaryConv: Layout(10, ints=("window", "groups", "signed"), blobs=(("weight", BITS), ("gate", I32))),
    ops.WindowSum: Layout(11, ints=("window", "groups")),
    ops.Linear: Layout(12, blobs=(("weight", F32), ("bias", F32))),
    ops.BinaryLinear: Layout(13, ints=("signed",), blobs=(("weight", BITS),)),
    ops.MaxPool: Layout(14, ints=("window",), blobs=(("take_min", BITS),)),
    ops.AvgPool: Layout(15, ints=("window", "count_padding")),
    ops.Mean: Layout(16),
    ops.Flatten: Layout(17),
    ops.PadChannels: Layout(18, ints=("before", "after")),
    ops.Concat: Layout(19),
    ops.FixedPoint: Layout(20, ints=("fraction",)),
    ops.Quantize: Layout(21, blobs=(("thresholds", F32),)),
    ops.PixelConv: Layout(22, ints=("window",), blobs=(("weight", I16), ("scale", F32), ("shift", F32))),
    ops.Thermometer: Layout(23, blobs=(("thresholds", I16),)),
    ops.Multiply: Layout(24),
    ops.Sigmoid: Layout(25),
    ops.Tanh: Layout(26),
    ops.Channels: Layout(27, blobs=(("index", I32),)),
    ops.Shift: Layout(28, blobs=(("values", F32), ("rows", I32), ("columns", I32))),
    ops.Unflatten: Layout(29, ints=("height", "width")),
}


@dataclass(frozen=True)
class Parts:
    """Where the parts of a file start, and where the text ends."""

    ops: int
    blobs: int
    meta: int
    text: int
    text_end: int


def find_parts(ops: int, blobs: int, pairs: int, text: int) -> Parts:
    """Derive where the parts of a file start.

    Args:
        ops: Number of ops.
        blobs: Number of blobs.
        pairs: Number of metadata pairs.
        text: Bytes of text.
    """
    ops_at = align(struct.calcsize(HEADER))
    blobs_at = align(ops_at + ops * struct.calcsize(OP))
    meta_at = align(blobs_at + blobs * struct.calcsize(BLOB))
    text_at = align(meta_at + pairs * struct.calcsize(META))
    return Parts(ops_at, blobs_at, meta_at, text_at, text_at + text)


def align(position: int) -> int:
    """Round up to a multiple of 64 bytes."""
    return -(-position // ALIGN) * ALIGN


def blob_bytes(dtype: int, elements: int) -> int:
    """Bytes of a blob, raw."""
    return -(-elements // 8) if dtype == BITS else DTYPES[dtype].itemsize * elements
