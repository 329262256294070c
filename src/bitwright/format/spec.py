"""The .bw file: constants, limits and the layout of each op. The prose twin of this page is docs/format.md.

All integers are little-endian. A file is, in this order and each part starting at a multiple of 64 bytes with zeros in
between: header (64 bytes), op table (128 bytes an op), blob table (32 bytes a blob), metadata table (16 bytes a pair),
text (UTF-8), then the blobs' bytes. Every offset follows from the counts; those that are stored must equal it.
"""

from dataclasses import dataclass

from bitwright.ir import ops

MAGIC = b"\x89BW\r\n\x1a\n\x00"
VERSION = 1
ALIGN = 64
NONE = 0xFFFFFFFF  # an absent blob

# magic, version, crc32 of all bytes from 16 on, file bytes, ops, blobs, text bytes, metadata pairs,
# input kind, input dimensions, dims[3] (unused ones are 0), output tensor
HEADER = "<8sIIQIIIIII3II"
# opcode, number of inputs, name offset and length, note offset and length, inputs[4], blobs[4], ints[12], floats[4]
OP = "<HHIIII4I4I12i4f12x"
# offset in the file, bytes, elements, dtype, encoding, reserved (0)
BLOB = "<QQIIII"
# key offset and length, value offset and length, into the text
META = "<IIII"

MAX_FILE = 1 << 31
MAX_OPS = 4096
MAX_BLOBS = 4 * MAX_OPS
MAX_TEXT = 1 << 20
MAX_META = 256
MAX_INPUTS = 4
MAX_DIM = 1 << 24  # of any one dimension
MAX_ELEMENTS = 1 << 28  # of any one tensor or blob
MAX_WINDOW = 255  # kernel, stride, padding, dilation
MAX_TAPS = 1 << 24  # of one accumulator, so that 32 bits hold it

F32, I32, BITS = 0, 1, 2  # blob dtypes; bits are packed lowest first, without gaps, the last byte filled with zeros
RAW = 0  # blob encodings


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
    ops.BinaryConv: Layout(10, ints=("window", "groups", "signed"), blobs=(("weight", BITS),)),
    ops.WindowSum: Layout(11, ints=("window", "groups")),
    ops.Linear: Layout(12, blobs=(("weight", F32), ("bias", F32))),
    ops.BinaryLinear: Layout(13, ints=("signed",), blobs=(("weight", BITS),)),
    ops.MaxPool: Layout(14, ints=("window",), blobs=(("take_min", BITS),)),
    ops.AvgPool: Layout(15, ints=("window", "count_padding")),
    ops.Mean: Layout(16),
    ops.Flatten: Layout(17),
    ops.PadChannels: Layout(18, ints=("before", "after")),
    ops.Concat: Layout(19),
}
