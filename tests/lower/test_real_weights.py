"""Real layers whose weights a file holds as 8 bits each."""

import numpy as np
import pytest
import torch
from torch import nn

import bitwright as bw
from bitwright import _native
from bitwright.format import spec
from bitwright.format.reader import read
from bitwright.format.writer import op_blobs
from bitwright.ir import ops
from bitwright.ir.interpret import interpret
from bitwright.ir.ops import Op
from bitwright.lower import lower
from bitwright.lower.real_weights import round_real_weights
from bitwright.runtime.reference import NumpyEngine

PIXELS = (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)


def network() -> nn.Module:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.Conv2d(8, 12, 3, padding=1, bias=False),
        nn.BatchNorm2d(12),
        nn.AvgPool2d(4),
        nn.Flatten(),
        nn.Linear(48, 5),
    )
    bw.binarize(net, bw.methods.bi_real_net())
    with torch.no_grad():
        net.train()(torch.randn(8, 3, 8, 8))  # so that batch norm has seen something
    return net.eval()


def images(count: int = 6) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def encoding(op: Op) -> int:
    return op_blobs(op)["weight"].encoding


def test_the_weights_take_a_quarter_and_all_engines_agree(tmp_path):
    net, x = network(), images()
    exact = bw.export(net, tmp_path / "exact.bw", x, pixels=PIXELS)
    report = bw.export(net, tmp_path / "net.bw", x, pixels=PIXELS, real_weights="int8")
    assert exact.real_weights is None
    assert report.comparison == exact.comparison  # with torch, before anything is rounded
    before, after = read(tmp_path / "exact.bw"), read(tmp_path / "net.bw")
    real = [op for op in after.ops if isinstance(op, ops.Conv | ops.Linear)]
    assert report.real_weights is not None
    assert report.real_weights.layers == tuple(op.name for op in real) and len(real) == 2
    assert 0 < report.real_weights.logits_relative < 0.5
    assert exact.bytes - report.bytes >= sum(3 * op.weight.size - 4 * len(op.weight) - 64 for op in real)
    olds = {op.name: op for op in before.ops}
    for op in real:
        old = olds[op.name]
        assert isinstance(old, ops.Conv | ops.Linear)
        assert encoding(op) == spec.INT8 and encoding(old) == spec.RAW
        step = np.abs(old.weight).max(axis=tuple(range(1, old.weight.ndim)), keepdims=True) / 127
        assert (np.abs(op.weight - old.weight) <= 0.502 * step).all()
    expected = interpret(after, x.numpy())
    np.testing.assert_array_equal(NumpyEngine(tmp_path / "net.bw")(x.numpy()), expected)
    for isa in _native.available_isas():
        np.testing.assert_array_equal(bw.load(tmp_path / "net.bw", isa=isa)(x.numpy()), expected)
    assert "int8 weights" in str(report)
    assert "int8 weights" not in str(exact)


def test_an_integer_first_layer_keeps_its_bits(tmp_path):
    x = images()
    report = bw.export(
        network(), tmp_path / "net.bw", x, pixels=PIXELS, first_layer="int16", real_weights="int8", stream="int16"
    )
    assert report.real_weights is not None
    graph = read(tmp_path / "net.bw")
    assert isinstance(graph.ops[0], ops.PixelConv)
    assert report.real_weights.layers == tuple(op.name for op in graph.ops if isinstance(op, ops.Linear))


def test_weights_that_take_less_already_stay():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(40, 6), nn.Linear(6, 1, bias=False), nn.Linear(1, 5)).eval()
    with torch.no_grad():
        net[0].weight.copy_(net[0].weight.sign() * 0.3)  # one bit each
    graph = lower(net, torch.zeros(1, 40))
    x = np.random.default_rng(0).standard_normal((4, 40)).astype(np.float32)
    rounded, report = round_real_weights(graph, x)
    assert report.layers == ("1",)  # the last one has one weight a filter: 5 bytes instead of 4
    assert [new is old for new, old in zip(rounded.ops, graph.ops, strict=True)] == [True, False, True]


def test_a_network_without_real_layers_is_left_as_it_is():
    graph = lower(nn.Sequential(nn.ReLU()), torch.zeros(1, 4))
    assert round_real_weights(graph, np.ones((2, 4), np.float32))[1] == bw.lower.real_weights.RealWeightsReport(
        (), 0, 0
    )


def test_another_word_is_refused(tmp_path):
    with pytest.raises(ValueError, match="real_weights: expected 'float32' or 'int8', found 'int4'"):
        bw.export(network(), tmp_path / "net.bw", images(), pixels=PIXELS, real_weights="int4")  # pyright: ignore
    assert not list(tmp_path.iterdir())
