"""The writer: one graph, one file, whole or not at all."""

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from graphs import fixed_graphs, seeded_graph

from bitwright.errors import BitwrightError, GraphError
from bitwright.format import spec
from bitwright.format.reader import from_bytes, read
from bitwright.format.writer import to_bytes, write, writing
from bitwright.ir import ops
from bitwright.ir.ops import Graph, Kind, TensorType, Window


@pytest.fixture
def graph() -> Graph:
    weight = np.array([[[[1, 0, 1]]], [[[1, 1, 0]]], [[[0, 0, 1]]]], np.bool_)
    return Graph(
        "in",
        TensorType(Kind.REAL, (1, 2, 5)),
        (
            ops.Binarize(name="a", inputs=("in",), threshold=np.array([0.5], np.float32)),
            ops.BinaryConv(name="b", inputs=("a",), weight=weight, signed=True, window=Window((1, 3), padding=(0, 1))),
            ops.Affine(name="\u00e7", inputs=("b",), scale=np.array([1, 2, 3], np.float32), note="why"),
        ),
        "\u00e7",
        {"k": "v"},
    )


def test_the_bytes_are_where_the_page_says(graph):
    data = to_bytes(graph)
    assert data[:16] == bytes.fromhex("8942570d0a1a0a0003000000") + struct.pack("<I", zlib.crc32(data[16:]))
    assert struct.unpack_from("<Q9I", data, 16) == (len(data), 3, 3, 11, 1, 0, 3, 1, 2, 5)
    assert struct.unpack_from("<I", data, 60) == (3,)
    conv = data[64 + 128 : 64 + 256]
    assert struct.unpack_from("<HH4I4I4I", conv) == (10, 1, 3, 1, 4, 0, 1, 0, 0, 0, 1, *[spec.NONE] * 3)
    assert struct.unpack_from("<12i", conv, 52) == (1, 3, 1, 1, 0, 1, 1, 1, 1, 1, 0, 0)
    assert struct.unpack_from("<QQIIII", data, 448 + 32) == (768, 2, 9, spec.BITS, spec.RAW, 0)
    assert struct.unpack_from("<4I", data, 576) == (9, 1, 10, 1)
    assert data[640:651] == "inab\u00e7whykv".encode()
    assert data[704:708] == struct.pack("<f", 0.5)
    assert data[768:770] == bytes([0b00011101, 0b1])
    assert data[832:] == struct.pack("<3f", 1, 2, 3)


def test_the_same_graph_gives_the_same_bytes(tmp_path):
    for seed in range(6):
        data = to_bytes(seeded_graph(seed))
        assert data == to_bytes(seeded_graph(seed))
        assert write(seeded_graph(seed), tmp_path / "net.bw") == len(data)
        assert (tmp_path / "net.bw").read_bytes() == data
    assert os.listdir(tmp_path) == ["net.bw"]


def test_parameters_in_any_memory_order_give_the_same_bytes(graph):
    data = to_bytes(graph)
    conv = graph.ops[1]
    turned = ops.BinaryConv(
        name="b", inputs=("a",), weight=np.asfortranarray(conv.weight), signed=True, window=conv.window
    )
    assert to_bytes(Graph("in", graph.input_type, (graph.ops[0], turned, graph.ops[2]), "\u00e7", graph.meta)) == data


def test_every_part_starts_at_64_bytes_and_the_gaps_are_zero():
    for graph in fixed_graphs():
        data = to_bytes(graph)
        counts = struct.unpack_from(spec.HEADER, data)[4:8]
        parts = spec.find_parts(counts[0], counts[1], counts[3], counts[2])
        end = parts.text_end
        for i in range(counts[1]):
            offset, size, *_ = struct.unpack_from(spec.BLOB, data, parts.blobs + 32 * i)
            assert offset % 64 == 0
            assert 0 <= offset - end < 64
            assert not any(data[end:offset])
            end = offset + size
        assert end == len(data)


def test_a_graph_that_is_not_well_formed_is_not_written(tmp_path):
    slope = np.array([np.nan], np.float32)
    bad = Graph("x", TensorType(Kind.REAL, (1,)), (ops.PReLU(name="y", inputs=("x",), slope=slope),), "y")
    with pytest.raises(GraphError, match="finite values in slope"):
        write(bad, tmp_path / "net.bw")
    assert not os.listdir(tmp_path)


def failing(error: BaseException):
    def fail(*args, **kwargs):
        raise error

    return fail


@pytest.mark.parametrize("where", ["fsync", "replace"])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), PermissionError(13, "Permission denied"), MemoryError()])
def test_an_interrupted_write_leaves_the_older_file_and_nothing_else(where, error, graph, tmp_path, monkeypatch):
    path = tmp_path / "net.bw"
    path.write_bytes(b"older")
    monkeypatch.setattr(os, where, failing(error))
    with pytest.raises(BitwrightError if isinstance(error, OSError) else type(error)):
        write(graph, path)
    assert os.listdir(tmp_path) == ["net.bw"]
    assert path.read_bytes() == b"older"


def test_a_file_that_its_reader_refuses_does_not_take_its_name(graph, tmp_path):
    path = tmp_path / "net.bw"
    path.write_bytes(b"older")
    with pytest.raises(ValueError, match="refused"), writing(graph, path) as temporary:
        assert temporary.read_bytes() == to_bytes(graph)
        assert path.read_bytes() == b"older"
        raise ValueError("refused")
    assert os.listdir(tmp_path) == ["net.bw"]
    assert path.read_bytes() == b"older"


def test_a_folder_that_takes_no_files_gives_one_clear_error(graph, tmp_path, monkeypatch):
    monkeypatch.setattr("builtins.open", failing(PermissionError(13, "Permission denied")))
    with pytest.raises(BitwrightError, match=r"net\.bw: cannot be written: Permission denied\. Choose a folder"):
        write(graph, tmp_path / "net.bw")
    monkeypatch.undo()
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("path", ["missing/net.bw", "", "file/net.bw"])
def test_a_path_that_cannot_be_gives_one_clear_error(path, graph, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(BitwrightError, match="cannot be written"):
        write(graph, Path(tmp_path, path))
    assert os.listdir(tmp_path) == ["file"]
    assert not [name for name in os.listdir(tmp_path.parent) if name.endswith(".tmp")]


def test_a_written_file_reads_back(graph, tmp_path):
    write(graph, str(tmp_path / "net.bw"))
    assert to_bytes(read(tmp_path / "net.bw")) == to_bytes(graph)
    assert from_bytes(to_bytes(graph)).ops[2].note == "why"
