"""Convolutions of two bit planes, with gates and tails that make digits again, against the interpreter."""

import numpy as np
import pytest
from test_exact import assert_same_bits, run

from bitwright import _native
from bitwright.format.writer import to_bytes
from bitwright.ir import ops
from bitwright.ir.interpret import interpret
from bitwright.ir.ops import Graph, Kind, TensorType, Window

KERNELS = ("", "sliced-list", "four-russians-1", "four-russians-4", "four-russians-6", "reference")  # "": by cost
CASES = [(isa, kernel) for isa in _native.available_isas() for kernel in KERNELS if isa != "reference" or not kernel]
# height, width, channels, filters, groups, window
LAYERS = [
    (1, 1, 3, 5, 1, Window((1, 1))),
    (7, 7, 20, 13, 1, Window((3, 3), padding=(1, 1))),
    (8, 8, 6, 8, 2, Window((5, 5), padding=(2, 2))),
    (9, 13, 7, 21, 7, Window((3, 2), (2, 1), (1, 0))),
    (14, 14, 12, 10, 1, Window((3, 3), (1, 1), (2, 2), (2, 2))),
    (28, 31, 5, 9, 1, Window((1, 1), (2, 2))),
    (33, 70, 4, 6, 1, Window((3, 3), (2, 3), (0, 1), (1, 2))),
]
DENSITIES = (0.0, 0.03, 0.5, 0.95, 1.0)


def network(rng: np.random.Generator, index: int, density: float, gated: bool, signed: bool = True) -> Graph:
    """Digits, a convolution and what can follow it: a sum with levels, numbers, and digits of these."""
    height, width, channels, filters, groups, window = LAYERS[index]

    def values(low: float, high: float, *shape: int) -> np.ndarray:
        return rng.uniform(low, high, shape).astype(np.float32)

    gate = rng.integers(-5, 6, filters).astype(np.int32)
    gate[rng.random(filters) < 0.3] = np.iinfo(np.int32).max
    gate[rng.random(filters) < 0.1] = np.iinfo(np.int32).min
    return Graph(
        "x",
        TensorType(Kind.REAL, (channels, height, width)),
        (
            ops.Quantize(name="digits", inputs=("x",), thresholds=np.sort(values(-1, 1, 3, channels), axis=0)),
            ops.BinaryConv(
                name="conv",
                inputs=("digits",),
                weight=rng.random((filters, channels // groups, *window.kernel)) < density,
                signed=signed,
                window=window,
                groups=groups,
                gate=gate if gated else None,
            ),
            ops.Affine(name="norm", inputs=("conv",), scale=values(-1, 1, filters), shift=values(-1, 1, filters)),
            ops.Quantize(name="next", inputs=("norm",), thresholds=np.sort(values(-9, 9, 3, filters), axis=0)),
            ops.PReLU(name="act", inputs=("norm",), slope=values(-1, 1, filters)),
            ops.Decode(name="decoded", inputs=("next",)),
            ops.Concat(name="y", inputs=("act", "decoded")),
        ),
        "y",
    )


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize(("isa", "kernel"), CASES)
def test_convolutions_with_tails_equal_the_interpreter(isa: str, kernel: str, gated: bool, rng: np.random.Generator):
    for index in range(len(LAYERS)):
        graph = network(rng, index, DENSITIES[index % len(DENSITIES)], gated)
        x = rng.standard_normal((2, *graph.input_type.shape)).astype(np.float32)
        expected = interpret(graph, x)
        engine = _native.Engine(to_bytes(graph), isa=isa, choices={"conv": kernel} if kernel else {}, split_above=0.0)
        conv = next(step for step in engine.describe() if step["name"] == "conv")
        assert conv["fused"] == ["norm", "next", "act"]
        assert (conv["kernel"] == "reference") == ("reference" in (isa, kernel))
        for threads in (1, 3):
            assert_same_bits(run(engine, x, threads), expected)


@pytest.mark.parametrize("isa", _native.available_isas())
@pytest.mark.parametrize("density", DENSITIES)
def test_sums_with_and_without_thresholds(isa: str, density: float, rng: np.random.Generator):
    for index, (_, _, channels, filters, groups, window) in enumerate(LAYERS):
        head, conv, *_ = network(rng, index, density, gated=False, signed=index % 2 == 0).ops
        threshold = ops.Threshold(
            name="bits",
            inputs=("conv",),
            threshold=rng.integers(-9, 10, filters).astype(np.int32),
            flip=rng.random(filters) < 0.5,
        )
        total = ops.WindowSum(name="total", inputs=("digits",), window=window, groups=groups)
        step = ops.Affine(name="step", inputs=("total",), scale=np.ones(groups, np.float32))
        decode = ops.Decode(name="decode", inputs=("bits",))
        both = ops.Concat(name="y", inputs=("decode", "step"))
        source = TensorType(Kind.REAL, (channels, *LAYERS[index][:2]))
        graph = Graph("x", source, (head, conv, threshold, total, step, decode, both), "y")
        x = rng.standard_normal((2, *source.shape)).astype(np.float32)
        engine = _native.Engine(to_bytes(graph), isa=isa, split_above=0.0)
        assert next(step for step in engine.describe() if step["name"] == "conv")["fused"] == ["bits"]
        for threads in (1, 2):
            assert_same_bits(run(engine, x, threads), interpret(graph, x))


@pytest.mark.parametrize("isa", _native.available_isas())
def test_rows_of_digits(isa: str, rng: np.random.Generator):
    """Vectors: quantized, joined at any position, summed, and through a linear layer."""
    sizes, ops_ = (1, 7, 64, 66), []
    for i, size in enumerate(sizes):
        weight = rng.standard_normal((size, 20)).astype(np.float32)
        ops_.append(ops.Linear(name=f"fc{i}", inputs=("x",), weight=weight, bias=None))
        thresholds = np.sort(rng.standard_normal((3, size)).astype(np.float32), axis=0)
        ops_.append(ops.Quantize(name=f"digits{i}", inputs=(f"fc{i}",), thresholds=thresholds))
    ones = np.ones(9, np.float32)
    weight = rng.random((9, sum(sizes))) < 0.5
    ops_ += [
        ops.Concat(name="joined", inputs=("digits1", "digits3", "digits0", "digits2")),
        ops.BinaryLinear(name="acc", inputs=("joined",), weight=weight, signed=True),
        ops.BinaryLinear(name="ones", inputs=("joined",), weight=weight, signed=False),
        ops.WindowSum(name="sum", inputs=("joined",), window=Window((1, 1))),
        ops.LevelSum(name="levels", inputs=("ones", "sum"), step=ones, low=ones),
        ops.Affine(name="real", inputs=("acc",), scale=ones),
        ops.Decode(name="decoded", inputs=("joined",)),
        ops.Concat(name="y", inputs=("levels", "real", "decoded")),
    ]
    graph = Graph("x", TensorType(Kind.REAL, (20,)), tuple(ops_), "y")
    x = rng.standard_normal((3, 20)).astype(np.float32)
    engine = _native.Engine(to_bytes(graph), isa=isa, split_above=0.0)
    for threads in (1, 3):
        assert_same_bits(run(engine, x, threads), interpret(graph, x))


@pytest.mark.parametrize("isa", _native.available_isas())
def test_a_gated_convolution_leaves_its_threshold_to_another_step(isa: str, rng: np.random.Generator):
    head, conv, *_ = network(rng, 1, 0.5, gated=True).ops
    flip = rng.random(13) < 0.5
    threshold = ops.Threshold(name="bits", inputs=("conv",), threshold=np.arange(-6, 7, dtype=np.int32), flip=flip)
    graph = Graph(
        "x", TensorType(Kind.REAL, (20, 7, 7)), (head, conv, threshold, ops.Decode(name="y", inputs=("bits",))), "y"
    )
    engine = _native.Engine(to_bytes(graph), isa=isa)
    assert [step["op"] for step in engine.describe()] == ["Quantize", "BinaryConv", "Threshold", "Decode"]
    x = rng.standard_normal((2, 20, 7, 7)).astype(np.float32)
    assert_same_bits(run(engine, x), interpret(graph, x))


def test_sums_of_digits_near_the_limit_of_an_accumulator():
    taps = (1 << 24) // 3
    channels = taps // 9
    graph = Graph(
        "x",
        TensorType(Kind.PIXEL, (channels, 3, 3)),
        (
            ops.Affine(name="real", inputs=("x",), scale=np.ones(channels, np.float32)),
            ops.Quantize(name="digits", inputs=("real",), thresholds=np.zeros((3, channels), np.float32)),
            ops.BinaryConv(
                name="conv",
                inputs=("digits",),
                weight=np.ones((1, channels, 3, 3), np.bool_),
                signed=True,
                window=Window((3, 3)),
            ),
            ops.Affine(name="y", inputs=("conv",), scale=np.ones(1, np.float32)),
        ),
        "y",
    )
    data = to_bytes(graph)
    for isa in _native.available_isas():
        engine = _native.Engine(data, isa=isa)
        assert run(engine, np.ones((1, *engine.input_shape), np.uint8)).item() == 3 * 9 * channels
