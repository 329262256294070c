"""Convolutions of pixels in integers, alone in a network, against the interpreter."""

import numpy as np
import pytest
from test_exact import assert_same_bits, run

from bitwright import _native
from bitwright.errors import FormatError, GraphError
from bitwright.format.writer import to_bytes
from bitwright.ir import limits, ops
from bitwright.ir.interpret import interpret
from bitwright.ir.ops import Graph, Kind, TensorType, Window
from bitwright.ir.verify import verify
from bitwright.ir.windows import class_starts

# channels, height, width, filters, window
LAYERS = [
    (3, 37, 45, 64, Window((7, 7), (2, 2), (3, 3))),
    (3, 32, 32, 16, Window((3, 3), (1, 1), (1, 1))),
    (1, 28, 28, 33, Window((5, 5), (1, 1), (2, 2))),
    (4, 41, 9, 7, Window((5, 3), (2, 1), (2, 1))),
    (3, 5, 3, 2, Window((3, 3), (1, 1), (1, 1))),
    (1, 3, 4, 1, Window((3, 4))),
    (3, 9, 70, 5, Window((3, 2), (1, 3), (2, 1), (2, 1))),
    (4, 6, 8, 12, Window((1, 1), (2, 2))),
    (2, 4, 5, 3, Window((2, 2), (1, 1), (3, 4), (3, 2))),
]


def layer(rng: np.random.Generator, index: int, weight: np.ndarray | None = None, shift: bool = True) -> Graph:
    channels, height, width, filters, window = LAYERS[index]
    if weight is None:
        weight = rng.integers(-(2**15), 2**15, (filters, channels, *window.kernel)).astype(np.int16)
    classes = (len(class_starts(window, axis, size)) for axis, size in enumerate((height, width)))
    conv = ops.PixelConv(
        name="conv",
        inputs=("x",),
        weight=weight,
        scale=rng.standard_normal(filters).astype(np.float32),
        shift=rng.standard_normal((filters, *classes)).astype(np.float32) if shift else None,
        window=window,
    )
    return Graph("x", TensorType(Kind.PIXEL, (channels, height, width)), (conv,), "conv")


@pytest.mark.parametrize("isa", _native.available_isas())
@pytest.mark.parametrize("index", range(len(LAYERS)))
def test_integers_of_pixels_equal_the_interpreter(isa: str, index: int, rng: np.random.Generator):
    graph = layer(rng, index, shift=index % 3 > 0)
    engine = _native.Engine(to_bytes(graph), isa=isa, split_above=0.0)
    assert [(step["name"], step["op"], step["kernel"]) for step in engine.describe()] == [("conv", "PixelConv", isa)]
    x = rng.integers(0, 256, (2, *graph.input_type.shape), dtype=np.uint8)
    expected = interpret(graph, x)
    for threads in (1, 2, 5):
        assert_same_bits(run(engine, x[:1], threads), expected[:1])  # one sample: the threads share its rows
        assert_same_bits(run(engine, x, threads), expected)


@pytest.mark.parametrize("value", [-32768, 32767])
def test_the_largest_weights_and_pixels(value: int, rng: np.random.Generator):
    channels, *_, filters, window = LAYERS[0]
    graph = layer(rng, 0, np.full((filters, channels, *window.kernel), value, np.int16))
    x = np.full((1, *graph.input_type.shape), 255, np.uint8)
    for isa in _native.available_isas():
        assert_same_bits(run(_native.Engine(to_bytes(graph), isa=isa), x), interpret(graph, x))


def wide(largest: int) -> Graph:
    """A filter over 258 pixels, the most of which have the weight -32768."""
    weight = np.full((1, 258, 1, 1), -32768, np.int16)
    rest = largest - 256 * 32768
    weight[0, 256:, 0, 0] = rest // 2, rest - rest // 2
    conv = ops.PixelConv(name="conv", inputs=("x",), weight=weight, scale=np.ones(1, np.float32), window=Window((1, 1)))
    return Graph("x", TensorType(Kind.PIXEL, (258, 1, 1)), (conv,), "conv")


def test_sums_of_32_bits_are_held_and_larger_ones_refused():
    graph = wide(limits.MAX_PIXEL_WEIGHTS)
    data = to_bytes(graph)
    x = np.full((1, 258, 1, 1), 255, np.uint8)
    expected = interpret(graph, x)
    assert expected.item() < -(2**30)
    for isa in _native.available_isas():
        assert_same_bits(run(_native.Engine(data, isa=isa), x), expected)
    with pytest.raises(GraphError, match=r"^conv \(PixelConv\): expected filters whose magnitudes add up to at most"):
        verify(wide(limits.MAX_PIXEL_WEIGHTS + 1))


def test_files_with_too_large_sums_are_refused(monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as patch:
        patch.setattr(limits, "MAX_PIXEL_WEIGHTS", 2**40)
        data = to_bytes(wide(8421505))
    with pytest.raises(FormatError, match="magnitudes add up to at most 8421504, found 8421505 in filter 0"):
        _native.Engine(data)
