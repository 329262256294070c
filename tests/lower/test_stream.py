"""A stream of 16-bit numbers between the sums of a residual network."""

import numpy as np
import pytest
import torch
from torch import nn

import bitwright as bw
from bitwright import _native
from bitwright.format.reader import read
from bitwright.ir import ops
from bitwright.ir.interpret import interpret
from bitwright.ir.ops import Graph, Kind, TensorType
from bitwright.lower import lower, stream
from bitwright.lower.stream import StreamReport


def network() -> nn.Module:
    torch.manual_seed(0)
    net = bw.binarize(bw.zoo.resnet20(width=4), bw.methods.bi_real_net())
    with torch.no_grad():
        net.train()(torch.randn(8, 3, 32, 32))  # so that batch norm has seen something
    return net.eval()


def test_rounding_and_saturation():
    x = np.float32([[0.0, -0.0, 0.124, 0.126, 0.125, 0.375, -0.125, -0.376, 8191.8, 1e30, -1e30, 3e38]])
    op = ops.FixedPoint(name="y", inputs=("x",), fraction=2)
    y = interpret(Graph("x", TensorType(Kind.REAL, (12,)), (op,), "y"), x)
    np.testing.assert_array_equal(y, np.float32([[0, 0, 0, 0.25, 0, 0.5, 0, -0.5, 8191.75, 8191.75, -8192, 8191.75]]))


@pytest.fixture
def all_sizes(monkeypatch):
    monkeypatch.setattr(stream, "LEAST_BYTES", 0)


def test_small_maps_stay_as_they_are(tmp_path):
    x = torch.randn(2, 3, 32, 32)
    report = bw.export(network(), tmp_path / "net.bw", x, stream="int16")
    assert report.stream == StreamReport({}, 0.0, 0)


def test_export_with_a_fixed_point_stream(tmp_path, all_sizes):
    net, x = network(), torch.randn(16, 3, 32, 32)
    exact = bw.export(net, tmp_path / "exact.bw", x)
    report = bw.export(net, tmp_path / "fixed.bw", x, stream="int16")
    assert exact.stream is None
    assert report.stream is not None
    assert report.comparison.logits_relative < 1e-4  # of the float32 stream, which is compared with torch all the same
    assert report.stream.logits_relative > 0
    graph = read(tmp_path / "fixed.bw")
    fixed = {op.name: op for op in graph.ops if isinstance(op, ops.FixedPoint)}
    assert {op.inputs[0] for op in fixed.values()} == report.stream.fractions.keys()
    sums = [op for op in graph.ops if isinstance(op, ops.Add)]
    assert len(sums) == 18
    assert all(fixed.keys() & set(op.inputs) for op in sums)
    assert not any(fixed.keys() & set(op.inputs) for op in graph.ops if isinstance(op, ops.Binarize))
    outputs = {isa: bw.load(tmp_path / "fixed.bw", isa=isa)(x[:4].numpy()) for isa in _native.available_isas()}
    for found in outputs.values():
        np.testing.assert_array_equal(found, interpret(graph, x[:4].numpy()))
    assert not np.array_equal(outputs["portable"], bw.load(tmp_path / "exact.bw")(x[:4].numpy()))
    assert "int16 stream" in str(report)
    assert "int16 stream" not in str(exact)


def test_the_largest_value_of_the_example_fits_twice(tmp_path, all_sizes):
    net, x = network(), torch.randn(4, 3, 32, 32)
    report = bw.export(net, tmp_path / "net.bw", x, stream="int16")
    assert report.stream is not None
    tensors = interpret(lower(net, x), x.numpy(), keep="all")
    for name, fraction in report.stream.fractions.items():
        assert 2**13 <= np.abs(tensors[name]).max() * 2**fraction < 2**15


def test_another_word_is_refused(tmp_path):
    with pytest.raises(ValueError, match="stream: expected 'float32' or 'int16', found 'int8'"):
        bw.export(network(), tmp_path / "net.bw", torch.randn(1, 3, 32, 32), stream="int8")  # pyright: ignore
