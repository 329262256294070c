"""Real-valued convolutions in networks, pixels read directly among them, against the interpreter."""

import numpy as np
import pytest
from test_exact import assert_same_bits, run

from bitwright import _native
from bitwright.format.writer import to_bytes
from bitwright.ir import ops
from bitwright.ir.interpret import interpret
from bitwright.ir.ops import Graph, Kind, TensorType, Window

# channels, height, width, filters, groups, window: one filter block, two, panels; depthwise; strides and gaps
LAYERS = [
    (3, 37, 45, 64, 1, Window((7, 7), (2, 2), (3, 3))),
    (3, 32, 32, 16, 1, Window((3, 3), (1, 1), (1, 1))),
    (2, 9, 13, 5, 1, Window((3, 2), (1, 3), (2, 1), (2, 1))),
    (32, 7, 7, 40, 1, Window((1, 1))),
    (32, 9, 9, 40, 1, Window((1, 1), (2, 2))),
    (12, 14, 14, 60, 2, Window((3, 3), (1, 1), (1, 1))),
    (9, 14, 14, 9, 9, Window((3, 3), (1, 1), (1, 1))),
    (9, 15, 6, 9, 9, Window((3, 3), (2, 2), (1, 1))),
    (8, 6, 5, 16, 8, Window((5, 5), (1, 1), (2, 2))),
]


def layer(rng: np.random.Generator, index: int, shift: bool) -> Graph:
    channels, height, width, filters, groups, window = LAYERS[index]

    def values(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    return Graph(
        "x",
        TensorType(Kind.PIXEL, (channels, height, width)),
        (
            ops.Affine(name="norm", inputs=("x",), scale=values(channels), shift=values(channels) if shift else None),
            ops.Conv(
                name="conv",
                inputs=("norm",),
                weight=values(filters, channels // groups, *window.kernel),
                bias=values(filters) if index % 2 else None,
                window=window,
                groups=groups,
            ),
        ),
        "conv",
    )


@pytest.mark.parametrize("isa", _native.available_isas())
@pytest.mark.parametrize("index", range(len(LAYERS)))
def test_a_convolution_reads_pixels_itself(isa: str, index: int, rng: np.random.Generator):
    graph = layer(rng, index, shift=index % 3 > 0)
    engine = _native.Engine(to_bytes(graph), isa=isa, split_above=0.0)
    assert [(step["name"], step["fused"]) for step in engine.describe()] == [("conv", ["norm"])]
    x = rng.integers(0, 256, (2, *graph.input_type.shape), dtype=np.uint8)
    expected = interpret(graph, x)
    for threads in (1, 2, 5):
        assert_same_bits(run(engine, x[:1], threads), expected[:1])  # one sample: the threads share its rows
        assert_same_bits(run(engine, x, threads), expected)


def test_normalized_pixels_that_others_read_are_written(rng: np.random.Generator):
    graph = layer(rng, 1, shift=True)
    pool = ops.Mean(name="mean", inputs=("norm",))
    both = ops.Concat(name="y", inputs=("pooled", "mean"))
    pooled = ops.Mean(name="pooled", inputs=("conv",))
    graph = Graph(graph.input, graph.input_type, (*graph.ops, pool, pooled, both), "y")
    engine = _native.Engine(to_bytes(graph))
    assert [step["fused"] for step in engine.describe()] == [[]] * 5
    x = rng.integers(0, 256, (1, *graph.input_type.shape), dtype=np.uint8)
    assert_same_bits(run(engine, x), interpret(graph, x))
