"""Real weights of two levels a filter: one bit each in the file, and every bit of the numbers comes back."""

import struct
from dataclasses import replace

import numpy as np
import pytest
from damage import repair_checksum
from real_layers import check_file_of, graph_of, layer

from bitwright import _native
from bitwright.errors import FormatError
from bitwright.format import spec
from bitwright.format.reader import from_bytes
from bitwright.format.two_levels import decode, encode, size
from bitwright.format.writer import op_blobs, to_bytes
from bitwright.ir import ops
from bitwright.report.summary import summarize


def two_levels(rng: np.random.Generator, *shape: int) -> np.ndarray:
    low, high = rng.standard_normal((2, shape[0], *[1] * (len(shape) - 1))).astype(np.float32)
    return np.where(rng.random(shape) < 0.5, high, low)


WEIGHTS = {
    "convolution": lambda rng: two_levels(rng, 5, 3, 3, 3),
    "matrix": lambda rng: two_levels(rng, 7, 30),
    "scaled sign": lambda rng: np.sign(rng.standard_normal((4, 3, 3, 3))).astype(np.float32) * np.float32(0.3),
    "one value": lambda rng: np.full((3, 9), -0.25, np.float32),
    "zeros of either sign": lambda rng: np.where(rng.random((4, 50)) < 0.5, np.float32(0), np.float32(-0.0)),
    "subnormal": lambda rng: np.where(rng.random((2, 70)) < 0.5, np.float32(1e-42), np.float32(-1e-45)),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_of_two_levels_come_back_bit_for_bit(name, rng):
    weight = WEIGHTS[name](rng)
    data = encode(weight)
    assert data is not None
    assert len(data) == size(weight.size, len(weight)) < weight.nbytes
    assert decode(b"1234" + data, 4, weight.size, len(weight)).tobytes() == weight.tobytes()
    check_file_of(weight, rng)


@pytest.mark.parametrize(
    "weight",
    [
        np.arange(12, dtype=np.float32).reshape(2, 6),
        np.array([[1, 2, 1, 2, 1, 2], [1, 2, 3, 1, 1, 1]], np.float32),
        np.ones((9, 1), np.float32),  # the levels would take more than the numbers
    ],
)
def test_other_weights_stay_as_they_are(weight):
    (blob,) = op_blobs(layer(weight)).values()
    assert (blob.encoding, blob.filters, len(blob.data)) == (spec.RAW, 0, weight.nbytes)


def test_bits_a_weight_are_counted_with_their_levels(rng):
    summary = summarize(graph_of(two_levels(rng, 16, 8, 3, 3)))
    assert summary.layers[0].bits_per_weight == 1 + 64 / 72
    assert summary.layers[0].bytes == 16 * 8 + 16 * 72 // 8
    assert summary.totals.real_weights == 16 * 72


FILE = to_bytes(graph_of(np.array([[1, 2, 2, 1, 1, 1, 1, 2, 1], [3, 3, 3, 3, 3, 3, 3, 3, 3]], np.float32)))
TABLE = 64 + 128
LEVELS = len(FILE) - size(18, 2)  # low, low, high, high, then 18 bits


@pytest.mark.parametrize(
    ("at", "form", "value"),
    [
        (TABLE + 16, "<I", 17),  # elements
        (TABLE + 16, "<I", 2**28),
        (TABLE + 20, "<I", spec.I32),
        (TABLE + 20, "<I", spec.BITS),
        (TABLE + 24, "<I", spec.RAW),
        (TABLE + 24, "<I", spec.GAPS),
        (TABLE + 24, "<I", 4),
        (TABLE + 28, "<I", 0),  # filters
        (TABLE + 28, "<I", 1),
        (TABLE + 28, "<I", 3),
        (TABLE + 28, "<I", 2**32 - 1),
        (LEVELS, "<f", 2.0),  # as the higher one
        (LEVELS, "<f", 5.0),  # above the higher one
        (LEVELS, "<f", float("nan")),
        (LEVELS + 4, "<f", 1.0),  # a level that no weight has
        (LEVELS + 8, "<f", float("inf")),
        (LEVELS + 16, "B", 0),
        (LEVELS + 16, "<H", 0),
        (LEVELS + 17, "<H", 0x3FF),  # the higher level where both are one
        (LEVELS + 18, "B", 4),  # behind the last bit
    ],
)
def test_any_other_encoding_is_refused_by_both_readers(at, form, value):
    damaged = bytearray(FILE)
    struct.pack_into(form, damaged, at, value)
    data = repair_checksum(bytes(damaged))
    for read in (from_bytes, _native.Engine):
        with pytest.raises(FormatError, match="damaged"):
            read(data)


def raw_file(weight: np.ndarray) -> bytes:
    """A file whose weight is stored as it is, though it has two levels."""
    others = np.arange(weight.size, dtype=np.float32).reshape(weight.shape)
    data = to_bytes(graph_of(others))
    return repair_checksum(data[: -weight.nbytes] + weight.tobytes())


def test_weights_of_two_levels_stored_as_they_are_are_refused():
    weight = np.array([[1, 2, 2, 1, 1, 1, 1, 2, 1]], np.float32)
    assert from_bytes(raw_file(weight + np.arange(9, dtype=np.float32)))
    for read in (from_bytes, _native.Engine):
        with pytest.raises(FormatError, match="in the encoding that takes least"):
            read(raw_file(weight))


def test_only_weights_of_real_layers_are_stored_so(rng):
    affine = ops.Affine(name="z", inputs=("y",), scale=np.ones(40, np.float32), shift=np.ones(40, np.float32))
    graph = graph_of(two_levels(rng, 40, 30))
    graph = replace(graph, ops=(*graph.ops, affine), output="z")
    assert [blob.encoding for op in graph.ops for blob in op_blobs(op).values()] == [
        spec.TWO_LEVELS,
        spec.RAW,
        spec.RAW,
    ]
    data = bytearray(to_bytes(graph))
    second = 64 + 2 * 128 + 32
    struct.pack_into("<II", data, second + 24, spec.TWO_LEVELS, 1)
    for read in (from_bytes, _native.Engine):
        with pytest.raises(FormatError):
            read(repair_checksum(bytes(data)))
