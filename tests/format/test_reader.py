"""The reader: what was written comes back, and each rule of the page by a file that breaks it."""

import struct
from dataclasses import fields, replace

import numpy as np
import pytest
from damage import repair_checksum
from graphs import fixed_graphs, graphs, random_input, seeded_graph
from hypothesis import given

from bitwright.errors import FormatError
from bitwright.format import spec
from bitwright.format.reader import from_bytes, read
from bitwright.format.writer import to_bytes, write
from bitwright.ir import ops
from bitwright.ir.interpret import interpret
from bitwright.ir.ops import Graph, Kind, TensorType

OPCODES = max(layout.code for layout in spec.LAYOUTS.values())


def assert_same(a, b):
    """Equal field by field, arrays with their dtype and bits."""
    assert type(a) is type(b)
    if isinstance(a, np.ndarray):
        assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
    elif isinstance(a, ops.Op):
        for field in fields(a):
            assert_same(getattr(a, field.name), getattr(b, field.name))
    else:
        assert a == b


def assert_round_trip(graph: Graph) -> None:
    found = from_bytes(to_bytes(graph))
    assert replace(found, ops=()) == replace(graph, ops=())
    assert len(found.ops) == len(graph.ops)
    for a, b in zip(found.ops, graph.ops, strict=True):
        assert_same(a, b)
    x = random_input(graph, np.random.default_rng(0), 1)
    assert interpret(found, x).tobytes() == interpret(graph, x).tobytes()


@pytest.mark.parametrize("seed", range(len(fixed_graphs())))
def test_what_was_written_comes_back(seed):
    assert_round_trip(seeded_graph(seed))


@given(graphs())
def test_any_graph_comes_back(graph):
    assert_round_trip(graph)


@pytest.fixture
def small() -> bytearray:
    """Input "x"; "y", a Clamp at byte 64; "z", an Affine at 192 without shift; one pair; blob table at 320."""
    clamp = ops.Clamp(name="y", inputs=("x",), low=0.0, high=1.0)
    affine = ops.Affine(name="z", inputs=("y",), scale=np.ones(2, np.float32))
    graph = Graph("x", TensorType(Kind.REAL, (2,)), (clamp, affine), "z", {"k": "v"})
    return bytearray(to_bytes(graph))


@pytest.mark.parametrize(
    ("at", "layout", "value", "message"),
    [
        (24, "<I", 0, "header: expected 1 to 4096 ops, found 0"),
        (24, "<I", 4097, "header: expected 1 to 4096 ops, found 4097"),
        (24, "<I", 1, "header: expected the last op's output, 1, as output, found 2"),
        (28, "<I", 16385, "expected 0 to 16384 blobs"),
        (28, "<I", 0, "blob table: expected a file that ends at"),
        (32, "<I", 1 << 21, "expected 0 to 1048576 bytes of text"),
        (32, "<I", 1 << 20, "header: expected tables and text of at most"),
        (32, "<I", 6, "text: expected 5 bytes, as the tables name, found 6"),
        (32, "<I", 4, "metadata pair 0: expected a text at 4 of at most 0 bytes, found 1 at 4"),
        (36, "<I", 257, "expected 0 to 256 metadata pairs"),
        (40, "<I", 3, "expected the input kind 0 or 1, found 3"),
        (44, "<I", 2, "expected an input of 1 or 3 dimensions, found 2"),
        (48, "<I", 0, r"header: expected dimensions of 1 to 16777216, found \(0,\)"),
        (48, "<I", 3, r"z \(Affine\): expected scale of shape \(3,\), found \(2,\)"),
        (52, "<I", 1, "header, byte 52: expected 0x00 where nothing is stored, found 0x01"),
        (60, "<I", 1, "expected the last op's output, 2, as output, found 1"),
        (64, "<H", 0, "op 0: expected an opcode from 1 to 29, found 0"),
        (64, "<H", 30, "op 0: expected an opcode from 1 to 29, found 30"),
        (66, "<H", 0, r"y \(Clamp\): expected 1 to 4 inputs, found 0"),
        (66, "<H", 5, r"y \(Clamp\): expected 1 to 4 inputs, found 5"),
        (66, "<H", 2, r"y \(Clamp\): expected 1 inputs, found 2"),
        (68, "<I", 0, "op 0: expected a text at 1 of at most 4 bytes, found 0 at 2"),
        (68, "<I", 6, "input: expected a text at 0 of at most 5 bytes, found 6 at 0"),
        (72, "<I", 1 << 31, "op 0: expected a text at 1 of at most 4 bytes"),
        (76, "<I", 0, "op 0: expected a text at 2 of at most 3 bytes, found 0 at 0"),
        (84, "<I", 1, r"y \(Clamp\): expected inputs from among the tensors 0 to 0 before it, found 1"),
        (88, "<I", 1, "op table, byte 88: expected 0x00 where nothing is stored"),
        (100, "<I", 0, "op table, byte 100: expected 0xff where nothing is stored"),
        (116, "<i", 1, "op table, byte 116: expected 0x00"),
        (164, "<f", float("nan"), r"y \(Clamp\): expected a finite low that is not above high, found low nan"),
        (168, "<f", -1.0, "found low 0.0, high -1.0"),
        (172, "<f", 1.0, "op table, byte 174"),
        (180, "<B", 1, "op table, byte 180"),
        (192 + 36, "<I", spec.NONE, r"z \(Affine\): scale: expected blob 0 of 1, found blob 4294967295"),
        (192 + 36, "<I", 1, r"z \(Affine\): scale: expected blob 0 of 1, found blob 1"),
        (192 + 40, "<I", 0, r"z \(Affine\): shift: expected blob 1 of 1, found blob 0"),
        (320, "<Q", 0, "blob 0: expected 8 bytes at 512, found 8 at 0"),
        (320, "<Q", 1 << 63, "blob 0: expected 8 bytes at 512"),
        (328, "<Q", 4, "blob 0: expected 8 bytes at 512, found 4 at 512"),
        (336, "<I", 0, "blob 0: expected 1 to 268435456 elements, found 0"),
        (336, "<I", 1 << 29, "blob 0: expected 1 to 268435456 elements"),
        (340, "<I", 4, "blob 0: expected a dtype from 0 to 3, found 4"),
        (340, "<I", 1, r"z \(Affine\): scale: expected a blob of dtype 0, found 1"),
        (344, "<I", 1, "blob 0: expected filters that divide 2 real weights, found 0 of dtype 0"),
        (344, "<I", 2, "blob 0: expected bits, which alone have the encoding 2, found the dtype 0"),
        (344, "<I", 7, "blob 0: expected an encoding from 0 to 6, found 7"),
        (348, "<I", 1, "blob table, byte 348"),
        (384, "<I", 0, "metadata pair 0: expected a text at 3 of"),
        (448, "<B", 0xFF, "input: expected UTF-8 text, found 0xff at 0"),
        (448, "<B", ord("y"), "expected a name of its own, found 'y' a second time"),
        (460, "<B", 7, "blobs, byte 460: expected 0x00 where nothing is stored, found 0x07"),
        (512, "<f", float("inf"), r"z \(Affine\): expected finite values in scale, found inf at \[0\]"),
    ],
)
def test_a_broken_rule_is_named(small, at, layout, value, message):
    struct.pack_into(layout, small, at, value)
    with pytest.raises(FormatError, match=message):
        from_bytes(repair_checksum(bytes(small)))


def test_the_small_file_is_where_the_cases_expect_it(small):
    parts = spec.find_parts(2, 1, 1, 5)
    assert (parts.ops, parts.blobs, parts.meta, parts.text) == (64, 320, 384, 448)
    assert bytes(small[448:453]) == b"xyzkv"
    assert len(small) == 520
    assert repair_checksum(bytes(small)) == bytes(small)


def test_bits_behind_the_last_one_are_zero():
    binarize = ops.Binarize(name="b", inputs=("x",), threshold=np.zeros(3, np.float32))
    linear = ops.BinaryLinear(name="acc", inputs=("b",), weight=np.ones((1, 3), np.bool_), signed=True)
    affine = ops.Affine(name="y", inputs=("acc",), scale=np.ones(1, np.float32))
    data = bytearray(to_bytes(Graph("x", TensorType(Kind.REAL, (3,)), (binarize, linear, affine), "y")))
    at = data.index(0b111, 512)
    data[at] = 0b1111
    with pytest.raises(FormatError, match=f"blobs, byte {at}: expected 0x07 where nothing is stored, found 0x0f"):
        from_bytes(repair_checksum(bytes(data)))


def test_a_key_appears_once():
    relu = ops.Clamp(name="y", inputs=("x",), low=0.0, high=1.0)
    data = to_bytes(Graph("x", TensorType(Kind.REAL, (3,)), (relu,), "y", {"ab": "", "cd": ""}))
    with pytest.raises(FormatError, match="metadata pair 1: expected a key of its own, found 'ab' a second time"):
        from_bytes(repair_checksum(data.replace(b"abcd", b"abab")))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "expected a bitwright file, which starts with 89 42 57 0d 0a 1a 0a 00, found an empty file"),
        (b"PK\x03\x04" + bytes(100), "expected a bitwright file, .* found 50 4b 03 04 00 00 00 00"),
        (spec.MAGIC[:5], "header: expected 64 bytes, found a file of 5"),
        (spec.MAGIC.replace(b"\r\n", b"\n") + bytes(100), "expected a bitwright file"),
    ],
)
def test_a_foreign_file_is_told_from_a_damaged_one(data, message, tmp_path):
    with pytest.raises(FormatError, match=message):
        from_bytes(data)
    path = tmp_path / "net.bw"
    path.write_bytes(data)
    with pytest.raises(FormatError, match=rf"net\.bw: .*{message}"):
        read(path)


def test_a_newer_version_is_refused_by_name(small):
    struct.pack_into("<I", small, 8, 7)
    with pytest.raises(FormatError, match=r"version 3, the newest that this library reads, found version 7\. Update"):
        from_bytes(repair_checksum(bytes(small)))
    struct.pack_into("<I", small, 8, 0)
    with pytest.raises(FormatError, match="expected a version from 1 to 3, found 0"):
        from_bytes(bytes(small))


@pytest.mark.parametrize("change", [-1, 1, 64])
def test_a_file_of_another_length_is_refused(small, change):
    data = bytes(small)[:change] if change < 0 else bytes(small) + bytes(change)
    with pytest.raises(FormatError, match=f"expected a file of 520 bytes, found {520 + change}"):
        from_bytes(data)


def test_a_flipped_bit_is_noticed(small):
    small[-1] ^= 1
    with pytest.raises(FormatError, match="checksum: expected"):
        from_bytes(bytes(small))


def test_the_file_is_named_in_the_error(small, tmp_path):
    path = tmp_path / "net.bw"
    path.write_bytes(small[:-3])
    with pytest.raises(FormatError, match=r"net\.bw: header: expected a file of 520 bytes, found 517"):
        read(path)


def test_what_is_no_regular_file_is_refused(tmp_path):
    with pytest.raises(FormatError, match="/dev/zero: expected a bitwright file"):
        read("/dev/zero")
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none.bw")


def test_arrays_may_be_changed_without_a_trace_in_the_file(tmp_path):
    graph = seeded_graph(3)
    write(graph, tmp_path / "net.bw")
    for op in read(tmp_path / "net.bw").ops:
        for field in fields(op):
            value = getattr(op, field.name)
            if isinstance(value, np.ndarray):
                assert value.flags.writeable
                value[...] = 0
    assert to_bytes(read(tmp_path / "net.bw")) == to_bytes(graph)
