import json
import struct

import numpy as np
import pytest

from bitwright.format import spec
from bitwright.format.writer import write
from bitwright.ir import ops
from bitwright.ir.ops import Kind, TensorType, Window

KEYS = {"name", "op", "density", "weights", "encoding", "bits_per_weight", "bytes", "bops", "flops", "kernel"}


def test_inspect_counts_every_layer(bw, graph, net):
    done = bw("inspect", net, "--json", without=["torch"])
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["bytes"] == net.stat().st_size
    assert [layer["name"] for layer in result["layers"]] == [op.name for op in graph.ops]
    assert all(layer.keys() >= KEYS for layer in result["layers"])
    inner = next(layer for layer in result["layers"] if layer["name"] == "inner")
    weight = next(op for op in graph.ops if op.name == "inner").weight
    assert inner["op"] == "BinaryConv" and inner["weights"] == 288
    assert inner["encoding"] == "gaps" and inner["bits_per_weight"] == 8 * 34 / 288
    assert inner["density"] == pytest.approx(weight.mean())
    assert inner["bops"] == 64 * 288 and inner["flops"] == 0 and inner["kernel"]
    assert result["totals"]["bops"] == 64 * 288 + 3 * 512
    assert result["totals"]["flops"] == 64 * 36


def test_inspect_prints_tables(bw, net):
    done = bw("inspect", net)
    assert done.returncode == 0, done.stderr
    for word in ("BinaryConv", "the first layer is real", "OPs = BOPs / 64 + FLOPs", "18,432", "stored as", "gaps"):
        assert word in done.stdout


@pytest.mark.parametrize("isa", ["reference", "portable"])
def test_the_plan_names_layouts_and_their_changes(bw, net, isa):
    done = bw("inspect", net, "--plan", "--isa", isa, "--json", without=["torch"])
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    assert plan["isa"] == isa and plan["only_reference"] == []
    steps = {step["name"]: step for step in plan["steps"]}
    assert steps["inner"]["fused"] == ["bits"]
    assert steps["inner"]["reads"] == [{"shape": [4, 8, 8], "layout": "sliced bits"}]
    assert steps["inner"]["writes"] == [{"shape": [8, 8, 8], "layout": "sliced bits"}]
    assert steps["inner"]["scratch_bytes"] > 0
    assert ("sliced bits -> 3 shifted copies" in steps["inner"]["changes"]) == (isa != "reference")
    assert steps["flat"]["changes"] == ["sliced bits -> row of bits"]
    assert steps["head"]["writes"] == [{"shape": [3], "layout": "row of int32 (sums)"}]


def test_the_plan_as_a_table(bw, net):
    done = bw("inspect", net, "--plan", "--isa", "portable")
    assert done.returncode == 0, done.stderr
    for words in (
        "the plan for portable",
        "4x8x8 sliced bits",
        "512 row of bits",
        "changes of layout",
        "1x8x8 planar uint8",
    ):
        assert words in done.stdout
    assert "Only the reference" not in done.stdout


def test_a_layer_that_only_the_reference_takes_is_named(bw, tmp_path):
    channels = (1 << 19) // 9 + 1  # the fast kernels take up to 1 << 19 weights a filter
    sign = ops.Binarize(name="sign", inputs=("x",), threshold=np.zeros(channels, np.float32))
    weight = np.ones((1, channels, 3, 3), np.bool_)
    conv = ops.BinaryConv(name="huge", inputs=("sign",), weight=weight, signed=True, window=Window((3, 3)))
    scale = ops.Affine(name="y", inputs=("huge",), scale=np.ones(1, np.float32))
    write(ops.Graph("x", TensorType(Kind.REAL, (channels, 3, 3)), (sign, conv, scale), "y"), tmp_path / "net.bw")
    done = bw("inspect", tmp_path / "net.bw", "--plan", "--isa", "portable")
    assert done.returncode == 0, done.stderr
    assert "Only the reference kernel takes the shape of huge: these steps are slow." in done.stdout


def test_an_unknown_instruction_set_is_refused(bw, net, refused):
    refused(bw("inspect", net, "--isa", "sse9"), "isa: expected one of reference", "found 'sse9'")


def truncated(data):
    return data[: len(data) // 2]


@pytest.mark.parametrize("density", [0.1, 0.5])
def test_the_rules_of_the_papers(bw, tmp_path, density):
    sign = ops.Binarize(name="sign", inputs=("x",), threshold=np.zeros(8, np.float32))
    weight = np.random.default_rng(0).random((16, 8, 3, 3)) < density
    conv = ops.BinaryConv(name="c", inputs=("sign",), weight=weight, signed=False, window=Window((3, 3)))
    scale = ops.Affine(name="y", inputs=("c",), scale=np.ones(16, np.float32))
    write(ops.Graph("x", TensorType(Kind.REAL, (8, 6, 6)), (sign, conv, scale), "y"), tmp_path / "net.bw")
    done = bw("inspect", tmp_path / "net.bw", "--rules", "--json", without=["torch"])
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["bops"]["dense"] == 16 * weight.size and found["bops"]["fine_grained"] == 16 * weight.sum()
    assert (found["real_parameters"], found["real_bits"]) == (8 + 16, 32 * (8 + 16))
    assert {rule["name"] for rule in found["rules"]} >= {"kernel_skipping", "shared_patterns", "entropy"}


def test_the_rules_as_a_table(bw, net, refused):
    done = bw("inspect", net, "--rules")
    assert done.returncode == 0, done.stderr
    for words in ("fine_grained", "M*H(p)", "Bi-Real Net", "kernel_huffman", "M binary weights"):
        assert words in done.stdout
    refused(bw("inspect", net, "--rules", "--plan"), "--plan or --rules")


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
