import json
import struct

import pytest

from bitwright.format import spec

KEYS = {"name", "op", "density", "weights", "bits_per_weight", "bytes", "bops", "flops", "kernel"}


def test_inspect_counts_every_layer(bw, graph, net):
    done = bw("inspect", net, "--json", without=["torch"])
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["bytes"] == net.stat().st_size
    assert [layer["name"] for layer in result["layers"]] == [op.name for op in graph.ops]
    assert all(layer.keys() >= KEYS for layer in result["layers"])
    inner = next(layer for layer in result["layers"] if layer["name"] == "inner")
    weight = next(op for op in graph.ops if op.name == "inner").weight
    assert inner["op"] == "BinaryConv" and inner["weights"] == 288 and inner["bits_per_weight"] == 1
    assert inner["density"] == pytest.approx(weight.mean())
    assert inner["bops"] == 64 * 288 and inner["flops"] == 0 and inner["kernel"]
    assert result["totals"]["bops"] == 64 * 288 + 3 * 512
    assert result["totals"]["flops"] == 64 * 36


def test_inspect_prints_tables(bw, net):
    done = bw("inspect", net)
    assert done.returncode == 0, done.stderr
    for word in ("BinaryConv", "the first layer is real", "OPs = BOPs / 64 + FLOPs", "18,432"):
        assert word in done.stdout


def truncated(data):
    return data[: len(data) // 2]


def corrupted(data):
    return data[:-40] + bytes([data[-40] ^ 1]) + data[-39:]


def foreign(data):
    return b"PK\x03\x04" + data


def newer(data):
    return data[:8] + struct.pack("<I", spec.VERSION + 1) + data[12:]


@pytest.mark.parametrize("damage", [truncated, corrupted, foreign, newer, lambda data: b""])
@pytest.mark.parametrize("command", ["inspect", "bench"])
def test_damaged_files_are_refused(bw, net, damage, command, refused):
    net.write_bytes(damage(net.read_bytes()))
    refused(bw(command, net), "expected")


def test_a_file_that_cannot_be_read_is_named(bw, tmp_path, refused):
    refused(bw("inspect", tmp_path / "none.bw"), "none.bw", "No such file")
    refused(bw("inspect", tmp_path), tmp_path, "directory")
