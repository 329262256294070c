"""Bits of sums over weights of a general domain, which the engine compares as integers, against the interpreter."""

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
# channels, groups, filters, height, width, window: pieces of a register, one block, several, columns that end anywhere
LAYERS = [
    (8, 1, 9, 3, 4, Window((3, 3), (1, 1), (1, 1))),
    (7, 1, 11, 8, 8, Window((3, 3), (1, 1), (1, 1))),
    (12, 3, 6, 7, 5, Window((3, 3), (1, 1), (1, 1))),
    (6, 2, 4, 9, 9, Window((3, 2), (2, 2), (1, 0))),
    (10, 1, 8, 16, 16, Window((3, 3), (1, 1), (1, 1))),
    (4, 2, 6, 13, 37, Window((5, 3), (1, 1), (2, 1), (1, 2))),
    (5, 1, 3, 3, 70, Window((1, 1))),
]


def layer(
    rng: np.random.Generator,
    shape: tuple[int, int, int],
    filters: int,
    window: Window,
    kind: Kind,
    *,
    groups: int = 1,
    density: float = 0.2,
    levels: tuple[float, float] = (1.0, -0.25),
    affines: int = 1,
) -> Graph:
    """A binary convolution of the levels (step, low), some affine ops of either direction, and a sign."""

    def values(low: float, high: float) -> np.ndarray:
        return rng.uniform(low, high, filters).astype(np.float32)

    step, low = (np.full(filters, level, np.float32) for level in levels)
    spread = levels[0] * np.sqrt(shape[0] / groups * window.kernel[0] * window.kernel[1] * density)
    scales = [
        ops.Affine(name=f"norm{i}", inputs=("y",), scale=values(-1, 1), shift=values(-1, 1)) for i in range(affines)
    ]
    chain: list[ops.Op] = [
        ops.LevelSum(name="levels", inputs=("conv", "sums"), step=step, low=low, shift=values(-1, 1))
    ]
    for scale in scales:
        chain.append(ops.Affine(name=scale.name, inputs=(chain[-1].name,), scale=scale.scale, shift=scale.shift))
    chain.append(ops.Binarize(name="next", inputs=(chain[-1].name,), threshold=values(-spread, spread), kind=Kind.SIGN))
    return Graph(
        "x",
        TensorType(Kind.REAL, shape),
        (
            ops.Binarize(name="bits", inputs=("x",), threshold=np.zeros(shape[0], np.float32), kind=kind),
            ops.BinaryConv(
                name="conv",
                inputs=("bits",),
                weight=rng.random((filters, shape[0] // groups, *window.kernel)) < density,
                signed=False,
                window=window,
                groups=groups,
            ),
            ops.WindowSum(name="sums", inputs=("bits",), window=window, groups=groups),
            *chain,
            ops.Decode(name="y", inputs=("next",)),
        ),
        "y",
    )


def inputs(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Random bits, mostly ones, mostly zeros, and nothing else."""
    noise = rng.standard_normal((5, *shape)).astype(np.float32)
    return noise + np.array([0, 1, -1, 9, -9], np.float32).reshape(-1, 1, 1, 1)


@pytest.mark.parametrize(("isa", "kernel"), CASES)
@pytest.mark.parametrize("index", range(len(LAYERS)))
def test_bits_equal_the_interpreter(isa: str, kernel: str, index: int, rng: np.random.Generator):
    channels, groups, filters, height, width, window = LAYERS[index]
    for kind in (Kind.SIGN, Kind.BIT):
        levels = ((1.0, -0.25), (0.37, -0.31), (-0.6, 0.05), (1.3, 0.0), (2.0, -1.75))[rng.integers(5)]
        graph = layer(
            rng,
            (channels, height, width),
            filters,
            window,
            kind,
            groups=groups,
            density=(0.05, 0.2, 0.5)[rng.integers(3)],
            levels=levels,
            affines=int(rng.integers(3)),
        )
        x = inputs(rng, graph.input_type.shape)
        engine = _native.Engine(to_bytes(graph), isa=isa, choices={"conv": kernel} if kernel else {}, split_above=0.0)
        conv = next(step for step in engine.describe() if step["name"] == "conv")
        assert conv["fused"][0] == "levels"
        assert conv["fused"][-1] == "next"
        expected = interpret(graph, x)
        for threads in (1, 2):
            assert_same_bits(run(engine, x, threads), expected)
            assert_same_bits(run(engine, x[:1], threads), expected[:1])


@pytest.mark.parametrize("isa", _native.available_isas())
def test_ties(isa: str, rng: np.random.Generator):
    """Thresholds on the very values that sums take, and just beside them."""
    graph = layer(rng, (6, 8, 9), 64, Window((3, 3), (1, 1), (1, 1)), Kind.SIGN, levels=(0.3, -0.1), affines=0)
    sums, binarize = graph.ops[3], graph.ops[4]
    assert isinstance(sums, ops.LevelSum)
    assert isinstance(binarize, ops.Binarize)
    sums.shift[:] = 0  # type: ignore[index]
    acc, window_sum = rng.integers(-9, 10, 64), 2 * rng.integers(-20, 21, 64)
    exact = np.float32(0.3) * acc.astype(np.float32) + np.float32(-0.1) * window_sum.astype(np.float32)
    toward = np.array([-np.inf, 0, np.inf], np.float32)[rng.integers(3, size=64)]
    binarize.threshold[:] = np.where(toward == 0, exact, np.nextafter(exact, toward))
    x = rng.standard_normal((20, *graph.input_type.shape)).astype(np.float32)
    assert_same_bits(run(_native.Engine(to_bytes(graph), isa=isa), x), interpret(graph, x))


@pytest.mark.parametrize("isa", _native.available_isas())
def test_window_sums_beyond_those_that_are_compared(isa: str, rng: np.random.Generator):
    """Of so many inputs float32 rounds the extreme sums too coarsely for one order of all of them."""
    graph = layer(
        rng,
        (3600, 4, 4),
        24,
        Window((3, 3), (1, 1), (1, 1)),
        Kind.SIGN,
        density=0.5,
        levels=(0.7123, -0.3571),
        affines=0,
    )
    x = inputs(rng, graph.input_type.shape)
    assert_same_bits(run(_native.Engine(to_bytes(graph), isa=isa), x), interpret(graph, x))


@pytest.mark.parametrize("isa", _native.available_isas())
def test_levels_of_each_filter(isa: str, rng: np.random.Generator):
    """Ratios that differ, filters without ones, and a scale of zero."""
    graph = layer(rng, (9, 16, 16), 12, Window((3, 3), (1, 1), (1, 1)), Kind.SIGN)
    conv, sums, affine = graph.ops[1], graph.ops[3], graph.ops[4]
    assert isinstance(conv, ops.BinaryConv)
    assert isinstance(sums, ops.LevelSum)
    assert isinstance(affine, ops.Affine)
    conv.weight[3] = False
    affine.scale[5] = 0
    x = inputs(rng, graph.input_type.shape)
    assert_same_bits(run(_native.Engine(to_bytes(graph), isa=isa), x), interpret(graph, x))
    sums.low[:] = rng.uniform(-1, 1, 12)
    assert_same_bits(run(_native.Engine(to_bytes(graph), isa=isa), x), interpret(graph, x))
