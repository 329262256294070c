"""Damaged files load to a sound graph or raise FormatError: nothing else, and in bounded memory."""

import tracemalloc

import pytest
from coded import coded_graphs
from damage import damaged, repair_checksum
from graphs import fixed_graphs
from hypothesis import given, settings
from hypothesis import strategies as st

from bitwright.errors import FormatError
from bitwright.format.reader import from_bytes
from bitwright.format.writer import to_bytes
from bitwright.ir.verify import verify

FILES = [to_bytes(graph) for graph in (*fixed_graphs(), *coded_graphs())]


def load(data: bytes) -> bool:
    """Whether the bytes are a file; if so, the graph is sound and has this one file."""
    try:
        graph = from_bytes(data)
    except FormatError as error:
        assert str(error)
        return False
    verify(graph)
    assert to_bytes(graph, int.from_bytes(data[8:12], "little")) == data
    return True


@given(damaged(FILES))
@settings(max_examples=8 * settings().max_examples)
def test_a_damaged_file_loads_or_raises_format_error(data):
    load(data)


@given(st.binary(max_size=400), st.integers(0, len(FILES) - 1), st.integers(0, 64))
def test_what_only_starts_like_a_file_raises_format_error(data, which, kept):
    assert not load(repair_checksum(FILES[which][:kept] + data))


@pytest.mark.parametrize("which", range(0, len(FILES), 12))
def test_every_truncation_raises_format_error(which):
    data = FILES[which]
    for end in range(0, len(data), max(1, len(data) // 150)):
        assert not load(data[:end])
        assert not load(repair_checksum(data[:end]))


def test_every_flipped_bit_of_a_small_file_loads_or_raises_format_error():
    data = min(FILES, key=len)
    loaded = 0
    for at in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[at] ^= 1 << bit
            assert not load(bytes(changed)) or at == 8  # the version: an older one's file of this graph is the same
            loaded += load(repair_checksum(bytes(changed)))
    assert 0 < loaded < 4 * len(data)  # other names and parameters are fine; other offsets, counts and padding are not


@given(damaged(FILES))
def test_memory_stays_in_proportion_to_the_file(data):
    tracemalloc.start()
    try:
        load(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000 + 40 * len(data)
