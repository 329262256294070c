"""Real weights on a grid of 255 numbers a filter: one byte each in the file, and every bit of them comes back."""

import struct

import numpy as np
import pytest
from damage import repair_checksum
from hypothesis import given
from hypothesis import strategies as st
from real_layers import check_file_of, graph_of, layer

from bitwright import _native
from bitwright.errors import FormatError
from bitwright.format import spec
from bitwright.format.int8 import decode, encode, size, to_grid
from bitwright.format.reader import from_bytes
from bitwright.format.writer import op_blobs, to_bytes
from bitwright.ir import ops
from bitwright.report.summary import summarize


def normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


LEAST, SMALL = np.float32(2.0**-149), np.arange(-64, 65, dtype=np.float32)
WEIGHTS = {
    "convolution": lambda rng: to_grid(normal(rng, 5, 3, 3, 3)),
    "matrix": lambda rng: to_grid(normal(rng, 7, 30)),
    "integers": lambda rng: rng.permuted(np.tile(np.arange(-127, 128, dtype=np.float32), (3, 1)), axis=1),
    "a filter of zeros": lambda rng: to_grid(normal(rng, 4, 50) * np.array([[1], [0], [3], [1e-6]], np.float32)),
    "the largest numbers": lambda rng: to_grid(normal(rng, 2, 40).clip(-1, 1) * np.finfo(np.float32).max),
    "subnormal scales": lambda rng: to_grid(normal(rng, 3, 40) * np.float32(1e-41)),
    "up to 64 of the least number": lambda rng: rng.permuted(np.tile(LEAST * SMALL, (3, 1)), axis=1),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_on_grids_come_back_bit_for_bit(name, rng):
    weight = WEIGHTS[name](rng)
    data = encode(weight)
    assert data is not None
    assert len(data) == size(weight.size, len(weight)) < weight.nbytes
    assert decode(b"1234" + data, 4, weight.size, len(weight)).tobytes() == weight.tobytes()
    op = check_file_of(weight, rng)
    (blob,) = op_blobs(op).values()
    assert (blob.encoding, blob.filters) == (spec.INT8, len(weight))


@given(st.integers(0, 2**32 - 1), st.floats(-35, 38))
def test_rounding_moves_a_weight_by_half_a_step_at_most(seed, magnitude):
    weight = normal(np.random.default_rng(seed), 3, 2, 3, 3).astype(np.float64) * 10**magnitude
    weight = np.clip(weight, -3.4e38, 3.4e38).astype(np.float32)
    rounded = to_grid(weight)
    assert rounded.dtype == np.float32 and rounded.shape == weight.shape
    moved = np.abs(rounded.astype(np.float64) - weight).max(axis=(1, 2, 3))
    largest = np.abs(weight.astype(np.float64)).max(axis=(1, 2, 3))
    assert (moved <= largest * (0.5 / 127 + 2**-16)).all()
    assert to_grid(rounded).tobytes() == rounded.tobytes()
    assert encode(rounded) is not None


OFF = np.tile(np.arange(-127, 128, dtype=np.float32), (2, 1))


@pytest.mark.parametrize(
    "weight",
    [
        normal(np.random.default_rng(0), 2, 40),
        OFF + np.array([[0], [0.5]], np.float32),  # one filter lies on no grid
        np.where(OFF == 3, np.nextafter(np.float32(3), np.float32(4)), OFF),
        np.where(OFF == 0, np.float32(-0.0), OFF),  # which has no integer
        OFF / 127 * np.float32(np.pi),  # not to the bit
        np.where(np.abs(OFF) > 126, np.float32(2), OFF),  # the largest magnitude is 126
        to_grid(OFF[:, :1]),  # 5 bytes each
    ],
)
def test_other_weights_stay_as_they_are(weight):
    (blob,) = op_blobs(layer(weight)).values()
    assert (blob.encoding, blob.filters, blob.data) == (spec.RAW, 0, weight.tobytes())


def test_of_two_encodings_the_shorter_is_taken(rng):
    """Up to four weights a filter, two levels take more bytes than integers."""
    for taps, expected in ((2, spec.INT8), (4, spec.INT8), (5, spec.TWO_LEVELS), (40, spec.TWO_LEVELS)):
        weight = np.where(rng.random((16, taps)) < 0.5, np.float32(0.25), np.float32(-0.25))
        (blob,) = op_blobs(layer(weight)).values()
        assert blob.encoding == expected
        for read in (from_bytes, _native.Engine):
            assert read(to_bytes(graph_of(weight)))


def test_files_of_version_2_hold_such_weights_as_they_are(rng):
    weight = to_grid(normal(rng, 4, 30))
    data = to_bytes(graph_of(weight), 2)
    assert data.endswith(weight.tobytes())
    (op,) = from_bytes(data).ops
    assert isinstance(op, ops.Linear) and op.weight.tobytes() == weight.tobytes()
    assert _native.Engine(data)


def test_bits_a_weight_are_counted_with_their_scales(rng):
    summary = summarize(graph_of(to_grid(normal(rng, 16, 8, 3, 3))))
    assert summary.layers[0].encoding == "int8"
    assert summary.layers[0].bits_per_weight == 8 + 32 / 72
    assert summary.layers[0].bytes == 16 * 4 + 16 * 72


FILE = to_bytes(graph_of(np.array([[0, 1, -2, 127, 4, 5, 6, 7, 8], [0, 0, 0, 0, 0, 0, 0, 0, 0]], np.float32)))
TABLE = 64 + 128
SCALES = len(FILE) - size(18, 2)  # 1 and 0, then 18 integers


def test_the_bytes_stay_what_they_are():
    assert FILE[SCALES:].hex() == "0000803f00000000" + "0001fe7f0405060708" + "000000000000000000"


@pytest.mark.parametrize(
    ("at", "form", "value"),
    [
        (TABLE + 16, "<I", 17),  # elements
        (TABLE + 16, "<I", 2**28),
        (TABLE + 20, "<I", spec.I32),
        (TABLE + 20, "<I", spec.BITS),
        (TABLE + 24, "<I", spec.RAW),
        (TABLE + 24, "<I", spec.TWO_LEVELS),
        (TABLE + 24, "<I", spec.GAPS),
        (TABLE + 24, "<I", spec.INT8 + 1),
        (TABLE + 28, "<I", 0),  # filters
        (TABLE + 28, "<I", 1),
        (TABLE + 28, "<I", 3),
        (TABLE + 28, "<I", 2**32 - 1),
        (8, "<I", 2),  # a version that has no such encoding
        (SCALES, "<f", float("nan")),
        (SCALES, "<f", float("inf")),
        (SCALES, "<f", 1e37),  # too large for its integers
        (SCALES, "<f", -1.0),
        (SCALES, "<f", 0.0),
        (SCALES, "<I", 0x3FD17940),  # 127 times this, rounded, divided by 127 is another number
        (SCALES + 4, "<f", 1.0),  # of zeros
        (SCALES + 4, "<f", -0.0),
        (SCALES + 4, "<f", float("nan")),
        (SCALES + 11, "<b", 126),  # the largest
        (SCALES + 11, "<b", -128),
        (SCALES + 8, "<b", -128),
        (SCALES + 17, "<b", 1),  # times 0
    ],
)
def test_any_other_encoding_is_refused_by_both_readers(at, form, value):
    damaged = bytearray(FILE)
    struct.pack_into(form, damaged, at, value)
    data = repair_checksum(bytes(damaged))
    for read in (from_bytes, _native.Engine):
        with pytest.raises(FormatError, match="damaged"):
            read(data)


@given(st.lists(st.tuples(st.integers(SCALES, len(FILE) - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_both_readers_agree_on_damaged_weights(changes):
    damaged = bytearray(FILE)
    for at, byte in changes:
        damaged[at] = byte
    data = repair_checksum(bytes(damaged))
    found = []
    for read in (from_bytes, _native.Engine):
        try:
            found.append(read(data) is not None)
        except FormatError:
            found.append(False)
    assert found[0] == found[1]


def test_weights_on_grids_stored_as_they_are_are_refused():
    weight = np.array([[0, 1, -2, 127, 4, 5, 6, 7, 8]], np.float32)
    data = to_bytes(graph_of(weight), 2)
    assert from_bytes(data)
    newer = data[:8] + struct.pack("<I", spec.VERSION) + data[12:]
    for read in (from_bytes, _native.Engine):
        with pytest.raises(FormatError, match="in the encoding that takes least"):
            read(repair_checksum(newer))
