"""Files of one binary layer, for the tests of the encodings of bits."""

import struct

import numpy as np
import pytest
from damage import damaged, repair_checksum
from hypothesis import strategies as st

from bitwright import _native
from bitwright.errors import FormatError
from bitwright.format import kernel_set, spec
from bitwright.format.reader import from_bytes
from bitwright.format.writer import to_bytes
from bitwright.ir import ops
from bitwright.ir.interpret import interpret
from bitwright.ir.ops import Graph, Kind, TensorType, Window

TABLE = 64 + 3 * 128 + 32  # the record of the weight


def random_bits(elements: int, density: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(elements) < density


def random_kernels(shape: tuple[int, int, int, int], kinds: int, skew: float = 0, seed: int = 0) -> np.ndarray:
    """A weight of at most so many different kernels: all equally frequent, or, the higher `skew`, the less so."""
    rng = np.random.default_rng(seed)
    found = rng.choice(1 << shape[2] * shape[3], min(kinds, 1 << shape[2] * shape[3]), replace=False)
    count, share = shape[0] * shape[1], np.arange(1.0, found.size + 1) ** -skew
    kernels = rng.choice(found, count, p=share / share.sum()) if skew else rng.permutation(np.resize(found, count))
    return kernel_set.bits_of(kernels, shape[2] * shape[3]).reshape(shape)


def graph_of(weight: np.ndarray, groups: int = 1) -> Graph:
    """A binary layer of these bits: linear, or a convolution of maps of 6x6."""
    channels = weight.shape[1] * groups
    window = Window(weight.shape[2:]) if weight.ndim == 4 else None
    layer = (
        ops.BinaryConv(name="b", inputs=("a",), weight=weight, signed=True, window=window, groups=groups)
        if window
        else ops.BinaryLinear(name="b", inputs=("a",), weight=weight, signed=True)
    )
    ops_ = (
        ops.Binarize(name="a", inputs=("x",), kind=Kind.SIGN, threshold=np.zeros(channels, np.float32)),
        layer,
        ops.Affine(name="y", inputs=("b",), scale=np.ones(len(weight), np.float32), shift=None),
    )
    return Graph("x", TensorType(Kind.REAL, (channels, 6, 6) if window else (channels,)), ops_, "y")


def coded_graphs() -> list[Graph]:
    """One graph for each encoding of bits, in the order of their numbers."""
    shape = (20, 24, 3, 3)
    weights = [random_bits(20 * 24 * 9, density).reshape(shape) for density in (0.5, 0.02, 0.3)]
    return [graph_of(weight) for weight in (*weights, random_kernels(shape, 16), random_kernels(shape, 30, 1.5))]


def weight_at(file: bytes) -> int:
    return struct.unpack_from("<Q", file, TABLE)[0]


def encoding_of(file: bytes) -> int:
    return struct.unpack_from("<I", file, TABLE + 24)[0]


def with_code(weight: np.ndarray, encoding: int, code: bytes) -> bytes:
    """A file whose weight is stored as said; the blob behind it, and all offsets, in their places."""
    file = to_bytes(graph_of(weight))
    start = weight_at(file)
    scale = np.ones(len(weight), "<f4").tobytes()
    data = bytearray(file[:start] + code)
    struct.pack_into("<QQII", data, TABLE, start, len(code), weight.size, spec.BITS)
    struct.pack_into("<I", data, TABLE + 24, encoding)
    data += bytes(spec.align(len(data)) - len(data))
    struct.pack_into("<Q", data, TABLE + 32, len(data))
    return repair_checksum(bytes(data + scale))


def patched(code: bytes, at: int, form: str, value: int) -> bytes:
    data = bytearray(code)
    struct.pack_into(form, data, at, value)
    return bytes(data)


def readers_agree(file: bytes) -> bool:
    """Whether both readers take a file, which both must then read alike."""
    try:
        graph = from_bytes(file)
    except FormatError as error:
        assert "expected" in str(error)
        with pytest.raises(FormatError, match="expected"):
            _native.Engine(file)
        return False
    x = np.random.default_rng(0).standard_normal((2, *graph.input_type.shape)).astype(np.float32)
    engine = _native.Engine(file)
    y = np.empty((2, *engine.output_shape), np.float32)
    engine.run(x, y)
    np.testing.assert_array_equal(y, interpret(graph, x))
    return True


@st.composite
def damaged_codes(draw: st.DrawFn, files: list[bytes]) -> bytes:
    """One of the files, damaged anywhere, or with up to three bytes of its coded weight replaced, mostly early ones."""
    if draw(st.booleans()):
        return draw(damaged(files))
    data = bytearray(draw(st.sampled_from(files)))
    start = weight_at(bytes(data))
    near = st.integers(start, min(len(data) - 1, start + 60))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.one_of(near, st.integers(start, len(data) - 1)))
        data[at] = draw(st.one_of(st.just(data[at] ^ 1), st.just(data[at] ^ 128), st.integers(0, 255)))
    return repair_checksum(bytes(data))
