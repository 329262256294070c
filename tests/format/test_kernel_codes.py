"""Patterns and Huffman: kernels of binary convolutions in the file, each as small as promised, for both readers."""

import heapq
import struct
from math import log2

import numpy as np
import pytest
from coded import (
    coded_graphs,
    damaged_codes,
    encoding_of,
    graph_of,
    patched,
    random_bits,
    random_kernels,
    readers_agree,
    with_code,
)
from damage import repair_checksum
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bitwright import _native
from bitwright.errors import FormatError
from bitwright.format import bit_code, huffman, kernel_set, patterns, spec
from bitwright.format.reader import from_bytes
from bitwright.format.writer import op_blobs, to_bytes
from bitwright.report.summary import summarize

CODERS = {spec.PATTERNS: patterns, spec.HUFFMAN: huffman}
windows = st.sampled_from([(3, 3), (1, 2), (2, 2), (5, 1), (3, 5), (4, 4), (5, 5), (1, 1)])


def entropy_of(counts: np.ndarray) -> float:
    """Bits of all kernels, if each takes the logarithm of how rare it is."""
    return float(sum(n * log2(counts.sum() / n) for n in counts))


@given(st.integers(2, 16), st.integers(1, 400), st.integers(1, 600), st.floats(0, 4), st.integers(0, 1000))
@example(taps=16, kernels=1, kinds=1, skew=0, seed=0)
@example(taps=2, kernels=400, kinds=4, skew=0, seed=0)
def test_bits_come_back_from_both_encodings(taps, kernels, kinds, skew, seed):
    bits = random_kernels((kernels, 1, 1, taps), kinds, skew, seed).ravel()
    for coder in CODERS.values():
        if (data := coder.encode(bits, taps)) is not None:
            for behind in (b"", b"\0\0\0"):
                np.testing.assert_array_equal(coder.decode(data + behind, bits.size, taps), bits)
            assert coder.decode(data[:-1], bits.size, taps) is None or len(data) == patterns.HEADER.size
        else:
            assert (bits.reshape(kernels, taps) == bits[:taps]).all()


@pytest.mark.parametrize("taps", [1, 17, 25, -9, 0])
def test_kernels_of_one_tap_or_more_than_sixteen_have_no_such_encoding(taps):
    bits = random_kernels((850, 1, 1, 9), 4).ravel()
    for coder in CODERS.values():
        assert coder.encode(bits, taps) is None
        assert coder.decode(bytes(500), bits.size, taps) is None
        assert coder.decode(bytes(500), bits.size + 1, 9) is None


@given(windows, st.sampled_from([1, 2, 3]), st.integers(0, 1000), st.floats(0, 12), st.floats(0, 4))
def test_the_file_holds_the_smallest_encoding_and_both_readers_read_it(window, groups, seed, kinds, skew):
    shape = (6 * groups, 1 + seed % 9, *window)
    taps = window[0] * window[1]
    weight = (
        random_kernels(shape, int(2**kinds), skew, seed)
        if 2 <= taps <= 16
        else random_bits(int(np.prod(shape)), kinds / 24, seed).reshape(shape)
    )
    graph = graph_of(weight, groups)
    blob = op_blobs(graph.ops[1])["weight"]
    sizes = {spec.RAW: -(-weight.size // 8)} | {
        encoding: len(data) for encoding, data in bit_code.encodings(weight.ravel(), taps)
    }
    assert blob.encoding == min(sizes, key=lambda encoding: (sizes[encoding], encoding))
    assert len(blob.data) == sizes[blob.encoding]
    assert (spec.PATTERNS in sizes) == (2 <= taps <= 16)
    assert readers_agree(to_bytes(graph))


@pytest.mark.parametrize(("tau", "channels"), [(4, 64), (5, 64), (6, 64), (5, 128)])
def test_a_sub_bit_layer_takes_tau_bits_a_kernel_and_its_table(tau, channels):
    weight = random_kernels((channels, channels, 3, 3), 1 << tau)
    layer = summarize(graph_of(weight)).layers[1]
    assert layer.encoding == "patterns"
    assert layer.bits_per_weight is not None
    assert layer.bits_per_weight * weight.size == 16 + tau * channels**2 + min(9 << tau, 512)


@pytest.mark.parametrize("skew", [1, 1.5, 2])
def test_uneven_kernels_take_at_most_a_bit_more_than_their_entropy_and_the_table(skew):
    weight = random_kernels((64, 64, 3, 3), 512, skew)
    graph = graph_of(weight)
    layer = summarize(graph).layers[1]
    assert layer.encoding == "huffman"
    found, counts = np.unique(kernel_set.numbers(weight.ravel(), 9), return_counts=True)
    table = 8 * huffman.HEADER.size + min(512, 9 * found.size) + 4 * found.size
    assert layer.bits_per_weight is not None
    size = layer.bits_per_weight * weight.size
    assert entropy_of(counts) <= size <= entropy_of(counts) + 0.1 * counts.sum() + table
    assert readers_agree(to_bytes(graph))


def shortest(counts: np.ndarray) -> int:
    """How many bits all kernels take in the best of codes."""
    heap, bits = counts.tolist(), 0
    heapq.heapify(heap)
    while len(heap) > 1:
        both = heapq.heappop(heap) + heapq.heappop(heap)
        bits += both
        heapq.heappush(heap, both)
    return bits


@given(st.lists(st.integers(1, 1 << 20), min_size=2, max_size=200))
@example([1] * 200)
@example([1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610, 987, 1597, 2584, 4181, 6765, 10946])
def test_the_code_is_the_shortest_of_words_of_at_most_sixteen_bits(counts):
    lengths = huffman.code_lengths(np.array(counts))
    assert lengths.min() >= 1
    assert lengths.max() <= huffman.LONGEST
    assert sum(2.0**-lengths) == 1
    bits = int((lengths * counts).sum())
    if sum(counts) < 4181:  # the 19th Fibonacci number: from there on, words of 17 bits may be best
        assert bits == shortest(np.array(counts))
    assert shortest(np.array(counts)) <= bits <= 1.03 * shortest(np.array(counts))
    words = [f"{word:0{length}b}"[::-1] for word, length in zip(huffman.code_words(lengths), lengths, strict=True)]
    assert not any(b.startswith(a) for a, b in zip(sorted(words), sorted(words)[1:], strict=False))
    assert sorted(words) == [word for _, word in sorted((len(word), word) for word in words)]


def test_words_are_no_longer_than_sixteen_bits_in_a_file_of_very_uneven_kernels():
    fibonacci = [1, 1]
    while len(fibonacci) < 19:
        fibonacci.append(sum(fibonacci[-2:]))
    kernels = np.random.default_rng(0).permutation(np.repeat(np.arange(19) * 27, fibonacci))
    graph = graph_of(kernel_set.bits_of(kernels, 9).reshape(55, 199, 3, 3))
    counts = np.array(fibonacci)
    assert (huffman.code_lengths(counts) * counts).sum() > shortest(counts)
    assert op_blobs(graph.ops[1])["weight"].encoding == spec.HUFFMAN
    assert readers_agree(to_bytes(graph))


def test_linear_layers_and_kernels_of_one_tap_are_no_patterns():
    weight = np.tile(random_bits(9, 0.5), (64, 32)).reshape(64, 288)
    for flat in (weight, weight.reshape(64, 288, 1, 1)):
        assert op_blobs(graph_of(flat).ops[1])["weight"].encoding < spec.PATTERNS
    assert op_blobs(graph_of(weight.reshape(64, 32, 3, 3)).ops[1])["weight"].encoding == spec.PATTERNS


def test_memory_stays_in_proportion_to_the_file():
    bits = np.tile(random_bits(9, 0.5), 1 << 17)
    encoding, data = bit_code.encode(bits, 9)
    assert (encoding, len(data)) == (spec.PATTERNS, -(-bits.size // 8 // 128))
    np.testing.assert_array_equal(bit_code.decode(encoding, data, bits.size, 9), bits)


def test_older_versions_hold_neither_and_are_still_read():
    for weight in WEIGHTS:
        for version in (1, 2):
            file = to_bytes(graph_of(weight), version)
            assert struct.unpack_from("<I", file, 8) == (version,)
            assert encoding_of(file) <= spec.NEWEST_ENCODING[version]
            assert readers_agree(file)
        file = to_bytes(graph_of(weight))
        assert not readers_agree(repair_checksum(patched(file, 8, "<I", 2)))
        older = to_bytes(graph_of(weight), 2)
        assert not readers_agree(repair_checksum(patched(older, 8, "<I", 3)))


WEIGHTS = [
    random_kernels((17, 25, 3, 3), kinds, skew) for kinds, skew in ((1, 0), (8, 0), (32, 0), (30, 1.5), (200, 2))
]
WEIGHTS += [random_kernels((12, 40, *window), 9, 2) for window in ((1, 2), (5, 1), (4, 4), (3, 5))]
FILES = [to_bytes(graph_of(weight)) for weight in WEIGHTS]


def test_the_graphs_of_the_fuzz_tests_have_one_encoding_each():
    found = [op_blobs(graph.ops[1])["weight"].encoding for graph in coded_graphs()]
    assert found == [spec.RAW, spec.GAPS, spec.ENTROPY, spec.PATTERNS, spec.HUFFMAN]


def test_all_these_files_are_sound_and_of_both_encodings():
    assert all(map(readers_agree, FILES))
    assert set(map(encoding_of, FILES)) == set(CODERS)


@settings(max_examples=4 * settings().max_examples)
@given(damaged_codes(FILES))
def test_damaged_files_are_taken_by_both_readers_or_by_none(data):
    readers_agree(data)


EVEN, UNEVEN = WEIGHTS[1], WEIGHTS[4]
PATTERNS = bit_code.encode(EVEN.ravel(), 9)[1]
HUFFMAN = bit_code.encode(UNEVEN.ravel(), 9)[1]


def pattern_code(found: list[int], indices: np.ndarray, width: int) -> bytes:
    """The bytes of a set as it is given."""
    stored = [kernel_set.bits_of(np.array(found), 9).ravel(), kernel_set.bits_of(indices, width).ravel()]
    return patterns.HEADER.pack(len(found) - 1) + np.packbits(np.concatenate(stored), bitorder="little").tobytes()


def huffman_code(weight: np.ndarray, lengths: np.ndarray, least: int, most: int) -> bytes:
    """The bytes of any canonical code, of a set that is stored as a list."""
    found, indices = np.unique(kernel_set.numbers(weight.ravel(), 9), return_inverse=True)
    words = huffman.code_words(lengths)
    coded = [kernel_set.bits_of(words[i : i + 1], int(lengths[i])).ravel() for i in indices]
    table = kernel_set.encode(found, 9), kernel_set.bits_of(lengths - least, (most - least).bit_length()).ravel()
    packed = np.packbits(np.concatenate([*table, *coded]), bitorder="little")
    return huffman.HEADER.pack(found.size - 1, least, most) + packed.tobytes()


def made_by_hand() -> dict[str, tuple[np.ndarray, int, bytes]]:
    """Encodings that break one rule each."""
    found, indices = np.unique(kernel_set.numbers(EVEN.ravel(), 9), return_inverse=True)
    names, swapped = found.tolist(), [found[1], found[0], *found[2:]]
    turned = np.where(indices < 2, 1 - indices, indices)
    counts = np.unique(kernel_set.numbers(UNEVEN.ravel(), 9), return_counts=True)[1]
    lengths = huffman.code_lengths(counts)
    least, most = int(lengths.min()), int(lengths.max())
    other = lengths.copy()
    other[[lengths.argmin(), lengths.argmax()]] = most, least
    both = np.flatnonzero(lengths == most)[:2]
    short = lengths.copy()
    short[both[0]] -= 1  # more words than there is room for
    return {
        "not ascending": (EVEN, spec.PATTERNS, pattern_code(swapped, turned, 3)),
        "one twice": (EVEN, spec.PATTERNS, pattern_code([names[0], *names[:-1]], indices, 3)),
        "one that does not occur": (EVEN, spec.PATTERNS, pattern_code([*names, names[-1] + 1], indices, 3)),
        "an index of none": (EVEN, spec.PATTERNS, pattern_code(names[:-1], indices, 3)),
        "wider indices": (EVEN, spec.PATTERNS, pattern_code(names, indices, 4)),
        "a number of kernels": (EVEN, spec.PATTERNS, patched(PATTERNS, 0, "<H", 0xFFFF)),
        "no indices": (EVEN, spec.PATTERNS, PATTERNS[:-1]),
        "more bytes": (EVEN, spec.PATTERNS, PATTERNS + b"\0"),
        "a last bit": (EVEN, spec.PATTERNS, PATTERNS[:-1] + bytes([PATTERNS[-1] | 128])),
        "nothing": (EVEN, spec.PATTERNS, bytes(len(PATTERNS))),
        "other lengths": (UNEVEN, spec.HUFFMAN, huffman_code(UNEVEN, other, least, most)),
        "a wider span of lengths": (UNEVEN, spec.HUFFMAN, huffman_code(UNEVEN, lengths, least, most + 1)),
        "a lower least length": (UNEVEN, spec.HUFFMAN, huffman_code(UNEVEN, lengths, least - 1, most)),
        "too many words": (UNEVEN, spec.HUFFMAN, huffman_code(UNEVEN, short, least, most)),
        "words of no bits": (UNEVEN, spec.HUFFMAN, patched(HUFFMAN, 2, "<B", 0)),
        "words of 17 bits": (UNEVEN, spec.HUFFMAN, patched(HUFFMAN, 3, "<B", 17)),
        "lengths turned": (UNEVEN, spec.HUFFMAN, patched(HUFFMAN, 2, "<H", least << 8 | most)),
        "one kernel more": (UNEVEN, spec.HUFFMAN, patched(HUFFMAN, 0, "<H", len(counts))),
        "one kernel": (UNEVEN, spec.HUFFMAN, patched(HUFFMAN, 0, "<H", 0)),
        "no words": (UNEVEN, spec.HUFFMAN, HUFFMAN[:-1]),
        "more bytes behind": (UNEVEN, spec.HUFFMAN, HUFFMAN + b"\0"),
        "the header alone": (UNEVEN, spec.HUFFMAN, HUFFMAN[:3]),
        "larger than another": (EVEN, spec.HUFFMAN, huffman.encode(EVEN.ravel(), 9) or b""),
        "patterns of many": (UNEVEN, spec.PATTERNS, patterns.encode(UNEVEN.ravel(), 9) or b""),
        "a number behind the last": (EVEN, spec.HUFFMAN + 1, PATTERNS),
    }


HAND_MADE = made_by_hand()


def test_files_made_by_hand_are_taken():
    found, indices = np.unique(kernel_set.numbers(EVEN.ravel(), 9), return_inverse=True)
    assert pattern_code(found.tolist(), indices, 3) == PATTERNS
    assert with_code(EVEN, spec.PATTERNS, PATTERNS) == to_bytes(graph_of(EVEN))
    lengths = huffman.code_lengths(np.unique(kernel_set.numbers(UNEVEN.ravel(), 9), return_counts=True)[1])
    assert huffman_code(UNEVEN, lengths, int(lengths.min()), int(lengths.max())) == HUFFMAN
    assert with_code(UNEVEN, spec.HUFFMAN, HUFFMAN) == to_bytes(graph_of(UNEVEN))


@pytest.mark.parametrize("rule", HAND_MADE)
def test_other_codes_are_refused_by_both_readers(rule):
    file = with_code(*HAND_MADE[rule])
    for read in (from_bytes, _native.Engine):
        with pytest.raises(FormatError, match="damaged"):
            read(file)
