"""Chains that run on a convolution's sums while these are in registers, against the interpreter."""

import numpy as np
import pytest
from test_exact import assert_same_bits, run

from bitwright import _native
from bitwright.format.writer import to_bytes
from bitwright.ir import ops
from bitwright.ir.interpret import interpret
from bitwright.ir.ops import Graph, Kind, TensorType, Window

KERNELS = ("", "sliced-list", "four-russians-3", "channel-lanes-7", "reference")  # "": by cost
CASES = [(isa, kernel) for isa in _native.available_isas() for kernel in KERNELS if isa != "reference" or not kernel]
SHAPES = [(1, 1), (2, 3), (5, 7), (7, 7), (3, 8), (8, 8), (9, 9), (14, 14), (4, 15), (28, 28), (3, 40), (2, 70)]


def block(
    rng: np.random.Generator, height: int, width: int, channels: int, positions: int, kind: Kind, patterns: int = 0
) -> Graph:
    """Every step a tail can have, on a convolution with a shortcut around it; what is in between is read again.

    With `patterns`, the kernels are of at most so many.
    """

    def values(low: float, high: float) -> np.ndarray:
        return rng.uniform(low, high, channels).astype(np.float32)

    window = Window((3, 3), (1, 1), (1, 1))
    weight = rng.random((channels, positions, 3, 3)) < rng.choice([0.05, 0.5])
    if patterns:
        weight = weight.reshape(-1, 3, 3)[rng.integers(0, patterns, weight.shape[:2])]
    groups = channels // positions
    return Graph(
        "x",
        TensorType(Kind.REAL, (channels, height, width)),
        (
            ops.Binarize(name="bits", inputs=("x",), threshold=values(-0.5, 0.5), kind=kind),
            ops.BinaryConv(
                name="conv", inputs=("bits",), weight=weight, signed=kind == Kind.SIGN, window=window, groups=groups
            ),
            ops.WindowSum(name="sums", inputs=("bits",), window=window, groups=groups),
            ops.LevelSum(
                name="levels", inputs=("conv", "sums"), step=values(-1, 1), low=values(-1, 1), shift=values(-1, 1)
            ),
            ops.Affine(name="norm", inputs=("levels",), scale=values(-1, 1), shift=values(-1, 1)),
            ops.Add(name="sum", inputs=("norm", "x")),
            ops.PReLU(name="act", inputs=("sum",), slope=values(-1, 1)),
            ops.Binarize(name="next", inputs=("act",), threshold=values(-1, 1), kind=Kind.BIT),
            ops.Clamp(name="clamped", inputs=("act",), low=-1.5, high=1.25),
            ops.Decode(name="decoded", inputs=("next",)),
            ops.Concat(name="y", inputs=("clamped", "decoded", "sum")),
        ),
        "y",
    )


@pytest.mark.parametrize(("isa", "kernel"), CASES)
def test_tails_equal_the_interpreter(isa: str, kernel: str, rng: np.random.Generator):
    for index, (height, width) in enumerate(SHAPES):
        kind = (Kind.SIGN, Kind.BIT)[index % 2]
        graph = block(rng, height, width, channels=6, positions=6 // (1 + index % 3), kind=kind)
        x = rng.standard_normal((2, *graph.input_type.shape)).astype(np.float32)
        choices = {"conv": kernel} if kernel else {}
        engine = _native.Engine(to_bytes(graph), isa=isa, choices=choices, split_above=0.0)
        conv = next(step for step in engine.describe() if step["name"] == "conv")
        assert conv["fused"] == ["levels", "norm", "sum", "act", "next", "clamped"]
        for threads in (1, 2):
            assert_same_bits(run(engine, x, threads), interpret(graph, x))


@pytest.mark.parametrize("isa", [isa for isa in _native.available_isas() if isa in ("avx2", "avx512")])
def test_tails_of_shared_responses(isa: str, rng: np.random.Generator):
    for index, (height, width) in enumerate(SHAPES):
        kind = (Kind.SIGN, Kind.BIT)[index % 2]
        graph = block(rng, height, width, channels=70, positions=70, kind=kind, patterns=(3, 16, 64)[index % 3])
        x = rng.standard_normal((1, *graph.input_type.shape)).astype(np.float32)
        engine = _native.Engine(to_bytes(graph), isa=isa, choices={"conv": "shared-responses"}, split_above=0.0)
        assert next(step for step in engine.describe() if step["name"] == "conv")["kernel"] == "shared-responses"
        for threads in (1, 2):
            assert_same_bits(run(engine, x, threads), interpret(graph, x))


def test_sums_that_need_more_than_16_bits(rng: np.random.Generator):
    channels = 5000
    graph = Graph(
        "x",
        TensorType(Kind.REAL, (channels, 3, 9)),
        (
            ops.Binarize(name="bits", inputs=("x",), threshold=np.zeros(channels, np.float32), kind=Kind.SIGN),
            ops.BinaryConv(
                name="conv",
                inputs=("bits",),
                weight=rng.random((2, channels, 3, 3)) < [[[[0.0]]], [[[0.99]]]],
                signed=True,
                window=Window((3, 3), padding=(1, 1)),
            ),
            ops.Affine(name="y", inputs=("conv",), scale=np.ones(2, np.float32)),
        ),
        "y",
    )
    x = np.ones((1, *graph.input_type.shape), np.float32)
    expected = interpret(graph, x)
    assert expected.min() < -(2**15)
    assert expected.max() > 2**15
    for isa in _native.available_isas():
        engine = _native.Engine(to_bytes(graph), isa=isa)
        assert engine.describe()[1]["fused"] == ["y"]
        assert_same_bits(run(engine, x), expected)
