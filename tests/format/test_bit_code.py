"""Bits of binary weights: bitmap, gaps or entropy-coded, each as small as promised, and the same for both readers."""

import struct
from math import log2

import numpy as np
import pytest
from coded import damaged_codes, encoding_of, graph_of, patched, random_bits, readers_agree, with_code
from damage import repair_checksum
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bitwright import _native
from bitwright.errors import FormatError
from bitwright.format import bit_code, entropy, gaps, spec
from bitwright.format.reader import from_bytes
from bitwright.format.writer import op_blobs, to_bytes
from bitwright.ir import ops
from bitwright.ir.interpret import interpret
from bitwright.ir.ops import Kind
from bitwright.report.summary import summarize

DENSITIES = (0, 0.0005, 0.005, 0.02, 0.05, 0.06, 0.12, 0.2, 0.25, 0.3, 0.38, 0.45, 0.5, 0.7, 0.9, 0.98, 1)


def ideal_bits(bits: np.ndarray) -> float:
    """M * H(p)."""
    p = bits.mean()
    return 0.0 if p in (0, 1) else -bits.size * (p * log2(p) + (1 - p) * log2(1 - p))


@given(st.integers(1, 3000), st.floats(0, 1), st.integers(0, 1000))
@example(elements=1, density=1, seed=0)
@example(elements=2400, density=0, seed=0)
def test_bits_come_back_from_every_encoding(elements, density, seed):
    bits = random_bits(elements, density, seed)
    for coder in (gaps, entropy):
        if (data := coder.encode(bits)) is not None:
            np.testing.assert_array_equal(coder.decode(data, elements), bits)
    encoding, data = bit_code.encode(bits, 1)
    assert len(data) <= -(-elements // 8)
    if encoding != spec.RAW:
        np.testing.assert_array_equal(bit_code.decode(encoding, data, elements, 1), bits)


@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("elements", [4001, 9216, 36865, 147456])
def test_a_layer_takes_at_most_three_percent_more_than_its_entropy(elements, density):
    bits = random_bits(elements, density)
    _, data = bit_code.encode(bits, 1)
    assert 8 * len(data) <= max(1.03 * ideal_bits(bits) + 8 * entropy.HEADER.size, elements / 128 + 8)
    if (coded := entropy.encode(bits)) is not None:
        assert 8 * (len(coded) - entropy.HEADER.size) <= 1.03 * ideal_bits(bits) + 4 * 16


@pytest.mark.parametrize("density", [0.02, 0.1, 0.3])
def test_uneven_layers_take_no_more(density):
    """Filters that differ in density have the same bound, which counts all ones of the layer; and runs of ones, too."""
    rng = np.random.default_rng(1)
    filters = rng.random((64, 576)) < np.clip(rng.exponential(density, (64, 1)), 0, 1)
    runs = np.repeat(rng.random(4608) < density, 8)
    for bits in (filters.ravel(), runs):
        data = entropy.encode(bits)
        assert data is not None
        assert 8 * (len(data) - entropy.HEADER.size) <= 1.03 * ideal_bits(bits)


@pytest.mark.parametrize(
    ("density", "encoding", "name"),
    [(0.5, spec.RAW, "bitmap"), (0.01, spec.GAPS, "gaps"), (0.99, spec.GAPS, "gaps"), (0.3, spec.ENTROPY, "entropy")],
)
def test_the_file_holds_the_smallest_encoding_and_both_readers_read_it(density, encoding, name, rng):
    weight = random_bits(40 * 301, density).reshape(40, 301)
    graph = graph_of(weight)
    blob = op_blobs(graph.ops[1])["weight"]
    assert (blob.encoding, blob.filters, blob.elements) == (encoding, 0, weight.size)
    file = to_bytes(graph)
    read = from_bytes(file).ops[1]
    assert isinstance(read, ops.BinaryLinear)
    np.testing.assert_array_equal(read.weight, weight)
    x = rng.standard_normal((3, 301)).astype(np.float32)
    y = np.empty((3, 40), np.float32)
    _native.Engine(file).run(x, y)
    np.testing.assert_array_equal(y, interpret(graph, x))
    layer = summarize(graph).layers[1]
    assert layer.encoding == name
    assert layer.bits_per_weight == (1 if encoding == spec.RAW else 8 * len(blob.data) / weight.size)


def test_memory_stays_in_proportion_to_the_file():
    for value in (False, True):
        encoding, data = bit_code.encode(np.full(1 << 20, value), 1)
        assert (encoding, len(data)) == (spec.GAPS, (1 << 20) // 8 // 128)
        np.testing.assert_array_equal(bit_code.decode(encoding, data, 1 << 20, 1), np.full(1 << 20, value))


def clustered(elements: int) -> np.ndarray:
    """Few ones, in runs, of which gaps are large and entropy-coded bytes few enough to be filled up."""
    bits = np.zeros(elements, np.bool_)
    bits[: elements // 600] = True
    return bits


WEIGHTS = [random_bits(16 * 99, p).reshape(16, 99) for p in (0, 0.003, 0.05, 0.2, 0.3, 0.4, 0.8, 0.97, 1)]
WEIGHTS += [clustered(128 * 600).reshape(128, 600), random_bits(8 * 1200, 0.22).reshape(8, 1200)]
FILES = [to_bytes(graph_of(weight)) for weight in WEIGHTS]


def test_all_these_files_are_sound_and_of_every_encoding():
    assert all(map(readers_agree, FILES))
    found = set(map(encoding_of, FILES))
    assert found == {spec.RAW, spec.GAPS, spec.ENTROPY}


@settings(max_examples=4 * settings().max_examples)
@given(damaged_codes(FILES))
def test_damaged_files_are_taken_by_both_readers_or_by_none(data):
    readers_agree(data)


WEIGHT = random_bits(40 * 300, 0.23).reshape(40, 300)
CODE = bit_code.encode(WEIGHT.ravel(), 1)[1]
SPARSE = random_bits(40 * 300, 0.01).reshape(40, 300)
GAPS = bit_code.encode(SPARSE.ravel(), 1)[1]


def test_a_file_made_by_hand_is_taken():
    assert with_code(WEIGHT, spec.ENTROPY, CODE) == to_bytes(graph_of(WEIGHT))
    assert with_code(SPARSE, spec.GAPS, GAPS) == to_bytes(graph_of(SPARSE))


@pytest.mark.parametrize(
    ("weight", "encoding", "code"),
    [
        (WEIGHT, spec.RAW, np.packbits(WEIGHT, bitorder="little").tobytes()),
        (WEIGHT, spec.GAPS, gaps.encode(WEIGHT.ravel())),
        (SPARSE, spec.ENTROPY, entropy.encode(SPARSE.ravel())),
        (WEIGHT, spec.TWO_LEVELS, CODE),
        (WEIGHT, spec.PATTERNS, CODE),
        (WEIGHT, spec.HUFFMAN, CODE),
        (WEIGHT, spec.HUFFMAN + 1, CODE),
        (WEIGHT, spec.ENTROPY, CODE[:-2]),
        (WEIGHT, spec.ENTROPY, CODE[:-1]),
        (WEIGHT, spec.ENTROPY, CODE + b"\0\0"),
        (WEIGHT, spec.ENTROPY, CODE[:20]),
        (WEIGHT, spec.ENTROPY, patched(CODE, 0, "<H", 0)),  # frequencies: none where one is needed
        (WEIGHT, spec.ENTROPY, patched(CODE, 0, "<H", 65535)),  # too many slots
        (WEIGHT, spec.ENTROPY, bytes(18) + CODE[18:]),
        (WEIGHT, spec.ENTROPY, patched(CODE, 18, "<I", 0)),  # states
        (WEIGHT, spec.ENTROPY, patched(CODE, 18, "<I", 2**32 - 1)),
        (WEIGHT, spec.ENTROPY, CODE[:34] + bytes(len(CODE) - 34)),
        (SPARSE, spec.GAPS, GAPS[:-1]),
        (SPARSE, spec.GAPS, GAPS + b"\0"),
        (SPARSE, spec.GAPS, GAPS[:12]),  # fewer than a 128th
        (SPARSE, spec.GAPS, patched(GAPS, 0, "<I", 0)),  # ones
        (SPARSE, spec.GAPS, patched(GAPS, 0, "<I", 2**32 - 1)),
        (SPARSE, spec.GAPS, patched(GAPS, 0, "<I", 6000)),
        (SPARSE, spec.GAPS, GAPS[:4] + bytes(len(GAPS) - 4)),
        (SPARSE, spec.GAPS, GAPS[:4] + b"\xff" * (len(GAPS) - 4)),
    ],
)
def test_other_codes_are_refused_by_both_readers(weight, encoding, code):
    file = with_code(weight, encoding, code)
    for read in (from_bytes, _native.Engine):
        with pytest.raises(FormatError, match="damaged"):
            read(file)


def test_files_of_version_1_hold_bitmaps_and_are_still_read():
    for weight in WEIGHTS:
        file = to_bytes(graph_of(weight), version=1)
        assert struct.unpack_from("<I", file, 8) == (1,)
        assert encoding_of(file) == spec.RAW
        assert readers_agree(file)
    for file in FILES:
        coded = encoding_of(file) != spec.RAW
        older = repair_checksum(patched(file, 8, "<I", 1))
        assert readers_agree(older) != coded


def test_only_weights_are_coded():
    flip = np.zeros(4096, np.bool_)
    blob = op_blobs(ops.Threshold(name="t", inputs=("x",), kind=Kind.BIT, threshold=flip.astype(np.int32), flip=flip))
    assert blob["flip"].encoding == spec.RAW
