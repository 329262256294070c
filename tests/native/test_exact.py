"""Every kernel of every instruction set against the interpreter: equal bits, for any number of threads."""

import numpy as np
import pytest
from graphs import fixed_graphs, graphs, random_input
from hypothesis import given

from bitwright import _native
from bitwright.format.writer import to_bytes
from bitwright.ir import ops
from bitwright.ir.interpret import interpret
from bitwright.ir.ops import Graph, Kind, TensorType, Window

FIXED = [(graph, to_bytes(graph)) for graph in fixed_graphs()]


def run(engine: _native.Engine, x: np.ndarray, threads: int = 1) -> np.ndarray:
    y = np.full((x.shape[0], *engine.output_shape), np.nan, np.float32)
    engine.run(x, y, threads)
    return y


def assert_same_bits(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found.view(np.uint32), np.ascontiguousarray(expected).view(np.uint32))


def check(graph: Graph, isa: str, rng: np.random.Generator, split_above: float = 0.0) -> _native.Engine:
    """An engine whose results have been compared for several batches and threads."""
    x = random_input(graph, rng, 3)
    expected = interpret(graph, x)
    engine = _native.Engine(to_bytes(graph), isa=isa, split_above=split_above)
    for threads, batch in ((1, 3), (2, 1), (3, 2), (3, 3)):  # 0, not 20 us: even small layers are split
        assert_same_bits(run(engine, x[:batch], threads), expected[:batch])
    return engine


@pytest.mark.parametrize("isa", _native.available_isas())
@pytest.mark.parametrize("index", range(len(FIXED)))
def test_fixed_graphs_equal_the_interpreter(isa, index, rng):
    check(FIXED[index][0], isa, rng)


@given(graphs())
def test_random_graphs_equal_the_interpreter(graph):
    for isa in _native.available_isas():
        check(graph, isa, np.random.default_rng(0))


def binarize(name: str, source: str, channels: int, kind: Kind = Kind.SIGN) -> ops.Binarize:
    return ops.Binarize(name=name, inputs=(source,), threshold=np.zeros(channels, np.float32), kind=kind)


def pool_between(rng: np.random.Generator, take_min: np.ndarray | None, flip: np.ndarray) -> Graph:
    """A binary convolution, a maximum (minimum) of its sums, and a threshold on that."""
    channels = flip.size
    return Graph(
        "x",
        TensorType(Kind.REAL, (5, 9, 11)),
        (
            binarize("sign", "x", 5),
            ops.BinaryConv(
                name="conv",
                inputs=("sign",),
                weight=rng.random((channels, 5, 3, 3)) < 0.5,
                signed=True,
                window=Window((3, 3), padding=(1, 1)),
            ),
            ops.MaxPool(name="pool", inputs=("conv",), window=Window((3, 2), (2, 2), (1, 0)), take_min=take_min),
            ops.Threshold(
                name="bits", inputs=("pool",), threshold=rng.integers(-9, 10, channels).astype(np.int32), flip=flip
            ),
            ops.Decode(name="y", inputs=("bits",)),
        ),
        "y",
    )


@pytest.mark.parametrize("isa", _native.available_isas())
@pytest.mark.parametrize("take_min", [None, False, True, "both"])
@pytest.mark.parametrize("flip", [False, True, "both"])
def test_a_threshold_commutes_with_maximum_and_minimum(isa, take_min, flip, rng):
    channels = 32
    mixed = rng.random(channels) < 0.5
    falling = None if take_min is None else mixed if take_min == "both" else np.full(channels, take_min)
    flipped = rng.random(channels) < 0.5 if flip == "both" else np.full(channels, flip)
    graph = pool_between(rng, falling, flipped)
    engine = check(graph, isa, rng)
    conv, pool = engine.describe()[1:3]
    assert (conv["op"], conv["fused"], pool["op"]) == ("BinaryConv", ["bits"], "MaxPool")
    y = interpret(graph, random_input(graph, rng, 8))
    assert -0.9 < y.mean() < 0.9  # both bits occur


def test_elementwise_ops_run_as_one_step(rng):
    """A residual block: what is read again later is stored, what is not never reaches memory."""
    channels = 6
    scale = rng.standard_normal(channels).astype(np.float32)
    conv = {"weight": rng.random((channels, channels, 3, 3)) < 0.5, "window": Window((3, 3), padding=(1, 1))}
    graph = Graph(
        "x",
        TensorType(Kind.REAL, (channels, 8, 8)),
        (
            binarize("sign1", "x", channels),
            ops.BinaryConv(name="conv1", inputs=("sign1",), signed=True, **conv),
            ops.Affine(name="norm1", inputs=("conv1",), scale=scale, shift=scale),
            ops.Add(name="sum1", inputs=("norm1", "x")),
            ops.PReLU(name="act1", inputs=("sum1",), slope=scale),
            binarize("sign2", "act1", channels),
            ops.BinaryConv(name="conv2", inputs=("sign2",), signed=True, **conv),
            ops.Affine(name="norm2", inputs=("conv2",), scale=scale),
            ops.Add(name="sum2", inputs=("act1", "norm2")),
            ops.Clamp(name="y", inputs=("sum2",), low=-1.0, high=1.0),
        ),
        "y",
    )
    for isa in _native.available_isas():
        engine = check(graph, isa, rng)
    assert [(step["name"], step["fused"]) for step in engine.describe()] == [
        ("sign1", []),
        ("conv1", ["norm1", "sum1", "act1", "sign2"]),
        ("conv2", ["norm2", "sum2", "y"]),
    ]


def test_a_chain_waits_for_all_it_reads_and_stores_what_others_read(rng):
    """Each op of two interleaved chains reads what only an earlier one can have made."""
    scale = rng.standard_normal(3).astype(np.float32)
    pool = Window((3, 3), padding=(1, 1))
    graph = Graph(
        "x",
        TensorType(Kind.REAL, (3, 5, 5)),
        (
            ops.Affine(name="a1", inputs=("x",), scale=scale),
            ops.Affine(name="b1", inputs=("x",), scale=-scale),
            ops.MaxPool(name="pool", inputs=("a1",), window=pool),
            ops.Add(name="b2", inputs=("b1", "pool")),
            ops.Add(name="a2", inputs=("a1", "b2")),
            ops.Add(name="a3", inputs=("a2", "a2")),
            ops.MaxPool(name="pool2", inputs=("b2",), window=pool),
            ops.Add(name="y", inputs=("a3", "pool2")),
        ),
        "y",
    )
    for isa in _native.available_isas():
        check(graph, isa, rng)


def test_a_long_chain_is_cut(rng):
    scale = np.ones(2, np.float32)
    chain = tuple(
        ops.Affine(name=f"a{i}", inputs=(f"a{i - 1}" if i else "x",), scale=scale, shift=scale) for i in range(40)
    )
    graph = Graph("x", TensorType(Kind.PIXEL, (2, 3, 3)), chain, "a39")
    for isa in _native.available_isas():
        check(graph, isa, rng)


def test_an_output_may_be_the_input_under_another_name(rng):
    graph = Graph("x", TensorType(Kind.REAL, (2, 3, 3)), (ops.Flatten(name="y", inputs=("x",)),), "y")
    check(graph, "reference", rng)


def test_bit_vectors_join_at_any_position(rng):
    sizes = (1, 7, 8, 66)
    rows = [
        ops.BinaryLinear(name=f"fc{i}", inputs=("sign",), weight=rng.random((n, 20)) < 0.5, signed=True)
        for i, n in enumerate(sizes)
    ]
    bits = [
        ops.Threshold(name=f"bits{i}", inputs=(f"fc{i}",), threshold=np.zeros(n, np.int32), flip=np.zeros(n, np.bool_))
        for i, n in enumerate(sizes)
    ]
    joined = ops.Concat(name="joined", inputs=("bits1", "bits3", "bits0", "bits2"))
    y = ops.Decode(name="y", inputs=("joined",))
    graph = Graph("x", TensorType(Kind.REAL, (20,)), (binarize("sign", "x", 20), *rows, *bits, joined, y), "y")
    check(graph, "reference", rng)


def test_sums_near_the_limit_of_an_accumulator(rng):
    """2^24 taps, all equal: the largest sums that are allowed."""
    taps = 1 << 24
    graph = Graph(
        "x",
        TensorType(Kind.PIXEL, (taps // 64, 8, 8)),
        (
            ops.Affine(name="real", inputs=("x",), scale=np.ones(taps // 64, np.float32)),
            binarize("sign", "real", taps // 64),
            ops.BinaryConv(
                name="conv",
                inputs=("sign",),
                weight=np.ones((1, taps // 64, 8, 8), np.bool_),
                signed=True,
                window=Window((8, 8)),
            ),
            ops.Affine(name="y", inputs=("conv",), scale=np.ones(1, np.float32)),
        ),
        "y",
    )
    data = to_bytes(graph)
    for isa in _native.available_isas():
        engine = _native.Engine(data, isa=isa)
        assert run(engine, np.ones((1, *engine.input_shape), np.uint8)).item() == taps
