"""What `summarize` counts, against counts by hand."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from graphs import fixed_graphs

from bitwright.format.writer import to_bytes
from bitwright.ir import ops
from bitwright.ir.ops import Graph, Kind, TensorType, Window
from bitwright.report.summary import summarize


def ones(*shape):
    return np.ones(shape, np.float32)


def different(*shape):
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


@pytest.fixture
def graph() -> Graph:
    """Real 3x3 convolution 3 to 8 at 6x6, then a grouped binary one of a general domain 8 to 4, then a head."""
    weight = np.zeros((4, 4, 3, 3), np.bool_)
    weight.reshape(-1)[:36] = True  # a quarter of 144
    window = Window((3, 3), stride=(2, 2), padding=(1, 1))
    return Graph(
        "x",
        TensorType(Kind.REAL, (3, 6, 6)),
        (
            ops.Conv(name="first", inputs=("x",), weight=different(8, 3, 3, 3), bias=ones(8), window=Window((3, 3)),
                     note="first layer"),
            ops.Binarize(name="sign", inputs=("first",), threshold=ones(8)),
            ops.BinaryConv(name="second", inputs=("sign",), weight=weight, signed=False, window=window, groups=2),
            ops.WindowSum(name="sums", inputs=("sign",), window=window, groups=2),
            ops.LevelSum(name="levels", inputs=("second", "sums"), step=ones(4), low=ones(4)),
            ops.Flatten(name="flat", inputs=("levels",)),
            ops.Binarize(name="bits", inputs=("flat",), threshold=ones(16), kind=Kind.BIT),
            ops.BinaryLinear(name="third", inputs=("bits",), weight=np.ones((5, 16), np.bool_), signed=True),
            ops.Affine(name="scale", inputs=("third",), scale=ones(5)),
            ops.Linear(name="last", inputs=("scale",), weight=different(10, 5), bias=None),
        ),
        "last",
    )  # fmt: skip


def test_layers_are_counted(graph):
    layers = {layer.name: layer for layer in summarize(graph).layers}
    assert list(layers) == [op.name for op in graph.ops]
    first, second, third, last = (layers[name] for name in ("first", "second", "third", "last"))
    assert (first.op, first.shape, first.density, first.note) == ("Conv", (8, 4, 4), None, "first layer")
    assert (first.weights, first.encoding, first.bits_per_weight, first.bytes) == (216, "float32", 32.0, 4 * (216 + 8))
    assert (first.bops, first.flops) == (0, 4 * 4 * 8 * 27)
    assert (second.op, second.shape, second.density) == ("BinaryConv", (4, 2, 2), 0.25)
    assert (second.weights, second.encoding, second.bits_per_weight, second.bytes) == (144, "patterns", 8 * 7 / 144, 7)
    assert (second.bops, second.flops) == (2 * 2 * 4 * 36, 0)
    assert layers["sums"].bops == 2 * 2 * 2 * 36
    assert (third.weights, third.density, third.bytes, third.bops) == (80, 1.0, 4, 80)
    assert (last.weights, last.bytes, last.flops) == (50, 200, 50)
    assert (layers["levels"].weights, layers["levels"].bits_per_weight, layers["levels"].bytes) == (0, None, 32)
    assert layers["flat"].bytes == layers["flat"].bops == layers["flat"].flops == 0


def test_integers_of_pixels_are_real_weights_of_16_bits():
    conv = ops.PixelConv(
        name="y", inputs=("x",), weight=np.ones((8, 3, 3, 3), np.int16), scale=ones(8), window=Window((3, 3))
    )
    (layer,) = summarize(Graph("x", TensorType(Kind.PIXEL, (3, 6, 6)), (conv,), "y")).layers
    assert (layer.weights, layer.bits_per_weight, layer.bytes) == (216, 16.0, 2 * 216 + 4 * 8)
    assert (layer.bops, layer.flops) == (0, 4 * 4 * 8 * 27)


def test_totals_are_sums(graph):
    summary = summarize(graph)
    totals = summary.totals
    assert (totals.binary_weights, totals.real_weights, totals.weights) == (224, 266, 490)
    assert totals.density == (36 + 80) / 224
    assert totals.bops == 576 + 288 + 80
    assert totals.flops == 3456 + 50
    assert totals.ops == 944 / 64 + 3506
    assert summary.bytes == totals.bytes == len(to_bytes(graph))
    layers = {layer.name: layer for layer in summary.layers}
    of_binary = layers["second"].bytes + layers["third"].bytes
    assert (totals.binary_weight_bytes, totals.real_weight_bytes) == (of_binary, 4 * 266)
    assert totals.bits_per_weight == 8 * of_binary / 224
    assert totals.parameter_bytes == 4 * (8 + 8 + 4 + 4 + 16 + 5)
    assert totals.table_bytes == totals.bytes - of_binary - 1064 - 180
    assert totals.table_bytes > 64 + 10 * 128 + 10 * 32


def test_file_and_kernels_are_taken_as_told(graph):
    summary = summarize(graph, 4321, {"second": "sliced-list"})
    assert summary.bytes == summary.totals.bytes == 4321
    assert [layer.kernel for layer in summary.layers if layer.kernel] == ["sliced-list"]


def test_a_window_sum_of_a_vector_counts_its_elements():
    bits = ops.Binarize(name="b", inputs=("x",), threshold=ones(7))
    sums = ops.WindowSum(name="y", inputs=("b",), window=Window((1, 1)))
    linear = ops.BinaryLinear(name="acc", inputs=("b",), weight=np.ones((3, 7), np.bool_), signed=False)
    levels = ops.LevelSum(name="z", inputs=("acc", "y"), step=ones(3), low=ones(3))
    summary = summarize(Graph("x", TensorType(Kind.REAL, (7,)), (bits, sums, linear, levels), "z"))
    assert [layer.bops for layer in summary.layers] == [0, 7, 21, 0]


def test_a_network_without_binary_weights_has_no_density():
    relu = ops.Clamp(name="y", inputs=("x",), low=0.0, high=1.0)
    totals = summarize(Graph("x", TensorType(Kind.REAL, (7,)), (relu,), "y")).totals
    assert (totals.density, totals.bits_per_weight, totals.weights, totals.ops) == (None, None, 0, 0.0)


def test_it_becomes_json():
    for graph in fixed_graphs():
        found = json.loads(json.dumps(asdict(summarize(graph))))
        assert list(found["layers"][0]) == [
            "name", "op", "shape", "density", "weights", "encoding", "bits_per_weight", "weight_bytes", "bytes",
            "bops", "flops", "kernel", "note",
        ]  # fmt: skip
        assert found["bytes"] == found["totals"]["bytes"]
        assert found["totals"]["bytes"] >= sum(layer["bytes"] for layer in found["layers"])
