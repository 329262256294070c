"""The float32 twin computes what the interpreter computes, wherever the design says so."""

import numpy as np
import pytest
import torch

from bitwright.interop.float_twin import float_twin
from bitwright.ir import ops
from bitwright.ir.interpret import interpret
from bitwright.ir.ops import Kind, TensorType, Window

SAME = Window((3, 3), padding=(1, 1))
HALF = Window((2, 2), stride=(2, 2))


def bits(rng, *shape, density=0.5):
    return rng.random(shape) < density


def real(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32)


def odd(rng, *shape):
    """Odd integers: far enough from the threshold 0 for hardtanh to be the sign."""
    return (2 * rng.integers(-2, 2, shape) + 1).astype(np.float32)


def twin_and_meaning(graph, x):
    with torch.inference_mode():
        return float_twin(graph)(torch.from_numpy(x)).numpy(), interpret(graph, x)


def sign_chain(rng, kind=Kind.SIGN):
    """Binarize, then binary layers with thresholds (rising and falling) and integer pools (maximum and minimum)."""
    threshold = np.zeros(6, np.float32)
    take_min = bits(rng, 8)
    return ops.Graph(
        "x",
        TensorType(Kind.REAL, (6, 8, 8)),
        (
            ops.Binarize(name="b0", inputs=("x",), threshold=threshold),
            ops.BinaryConv(name="c1", inputs=("b0",), weight=bits(rng, 8, 3, 3, 3), signed=True, window=SAME, groups=2),
            ops.MaxPool(name="p1", inputs=("c1",), window=HALF, take_min=take_min),
            ops.Threshold(
                name="t1",
                inputs=("p1",),
                threshold=rng.integers(-4, 5, 8).astype(np.int32),
                flip=bits(rng, 8),
                kind=kind,
            ),
            ops.BinaryConv(name="c2", inputs=("t1",), weight=bits(rng, 5, 8, 3, 3), signed=True, window=SAME),
            ops.Threshold(
                name="t2",
                inputs=("c2",),
                threshold=np.array([-(2**31), -3, 0, 3, 2**31 - 1], np.int32),
                flip=bits(rng, 5),
                kind=kind,
            ),
            ops.MaxPool(name="p2", inputs=("t2",), window=HALF, take_min=bits(rng, 5)),
            ops.Decode(name="d", inputs=("p2",)),
        ),
        "d",
    )


@pytest.mark.parametrize("kind", [Kind.SIGN, Kind.BIT])
def test_bits_of_a_chain_are_equal(rng, kind):
    graph = sign_chain(rng, kind)
    twin, meaning = twin_and_meaning(graph, odd(rng, 3, 6, 8, 8))
    assert np.array_equal(twin, meaning)
    assert set(np.unique(meaning)) == ({-1.0, 1.0} if kind == Kind.SIGN else {0.0, 1.0})


def test_linear_layers_and_a_folded_affine(rng):
    graph = ops.Graph(
        "x",
        TensorType(Kind.REAL, (4, 3, 3)),
        (
            ops.Binarize(name="b", inputs=("x",), threshold=np.zeros(4, np.float32)),
            ops.Flatten(name="f", inputs=("b",)),
            ops.BinaryLinear(name="l1", inputs=("f",), weight=bits(rng, 7, 36), signed=True),
            ops.Threshold(name="t", inputs=("l1",), threshold=np.zeros(7, np.int32), flip=bits(rng, 7)),
            ops.BinaryLinear(name="l2", inputs=("t",), weight=bits(rng, 5, 7), signed=False),
            ops.Affine(name="y", inputs=("l2",), scale=real(rng, 5), shift=real(rng, 5)),
        ),
        "y",
    )
    twin, meaning = twin_and_meaning(graph, odd(rng, 3, 4, 3, 3))
    np.testing.assert_allclose(twin, meaning, rtol=1e-5, atol=1e-5)
    modules = [type(module).__name__ for module in float_twin(graph).children()]
    assert modules.count("Linear") == 2 and "ChannelAffine" not in modules  # all of it folded


def test_a_residual_block_of_a_general_domain(rng):
    """The level sum becomes one convolution, the window sum disappears, and the shortcut stays."""
    channels = np.zeros(4, np.float32)
    graph = ops.Graph(
        "x",
        TensorType(Kind.REAL, (4, 6, 6)),
        (
            ops.Binarize(name="b", inputs=("x",), threshold=channels),
            ops.BinaryConv(
                name="c", inputs=("b",), weight=bits(rng, 4, 2, 3, 3, density=0.2), signed=False, window=SAME, groups=2
            ),
            ops.WindowSum(name="s", inputs=("b",), window=SAME, groups=2),
            ops.LevelSum(
                name="z", inputs=("c", "s"), step=real(rng, 4), low=real(rng, 4), shift=np.ones(4, np.float32)
            ),
            ops.Affine(name="n", inputs=("z",), scale=real(rng, 4), shift=None),
            ops.Add(name="a", inputs=("n", "x")),
            ops.PReLU(name="p", inputs=("a",), slope=real(rng, 4)),
            ops.Mean(name="m", inputs=("p",)),
            ops.Flatten(name="f", inputs=("m",)),
            ops.Linear(name="y", inputs=("f",), weight=real(rng, 3, 4), bias=real(rng, 3)),
        ),
        "y",
    )
    twin, meaning = twin_and_meaning(graph, odd(rng, 2, 4, 6, 6))
    np.testing.assert_allclose(twin, meaning, rtol=1e-4, atol=1e-4)
    modules = [type(module).__name__ for module in float_twin(graph).children()]
    assert modules.count("Conv2d") == 1 and "ChannelAffine" not in modules


def test_pixels_real_convolution_pools_and_channels(rng):
    graph = ops.Graph(
        "x",
        TensorType(Kind.PIXEL, (3, 8, 8)),
        (
            ops.Affine(name="n", inputs=("x",), scale=real(rng, 3) / 64, shift=real(rng, 3)),
            ops.Conv(name="c", inputs=("n",), weight=real(rng, 4, 3, 3, 3), bias=real(rng, 4), window=SAME),
            ops.MaxPool(name="p", inputs=("c",), window=Window((2, 2), stride=(2, 2), padding=(1, 1))),
            ops.Affine(name="q", inputs=("p",), scale=real(rng, 4), shift=real(rng, 4)),  # of either sign
            ops.Clamp(name="k", inputs=("q",), low=0.0, high=float("inf")),
            ops.AvgPool(name="v", inputs=("k",), window=Window((3, 3), padding=(1, 1)), count_padding=False),
            ops.PadChannels(name="e", inputs=("v",), before=1, after=2),
            ops.Concat(name="y", inputs=("e", "k")),
        ),
        "y",
    )
    twin, meaning = twin_and_meaning(graph, rng.integers(0, 256, (2, 3, 8, 8), dtype=np.uint8))
    np.testing.assert_allclose(twin, meaning, rtol=1e-4, atol=1e-4)


def test_a_convolution_of_pixels_equals_its_twin_inside(rng):
    conv = ops.PixelConv(
        name="y",
        inputs=("x",),
        weight=rng.integers(-99, 100, (4, 3, 3, 3)).astype(np.int16),
        scale=real(rng, 4) / 1024,
        shift=real(rng, 4, 3, 3),
        window=SAME,
    )
    graph = ops.Graph("x", TensorType(Kind.PIXEL, (3, 8, 8)), (conv,), "y")
    twin, meaning = twin_and_meaning(graph, rng.integers(0, 256, (2, 3, 8, 8), dtype=np.uint8))
    np.testing.assert_allclose(twin[:, :, 1:-1, 1:-1], meaning[:, :, 1:-1, 1:-1], rtol=1e-4, atol=1e-4)


def test_window_sums_on_their_own(rng):
    graph = ops.Graph(
        "x",
        TensorType(Kind.REAL, (4, 5, 5)),
        (
            ops.Binarize(name="b", inputs=("x",), threshold=np.zeros(4, np.float32)),
            ops.WindowSum(name="s", inputs=("b",), window=SAME, groups=2),
            ops.Affine(name="y", inputs=("s",), scale=np.full(2, 2, np.float32), shift=None),
        ),
        "y",
    )
    twin, meaning = twin_and_meaning(graph, odd(rng, 2, 4, 5, 5))
    assert np.array_equal(twin, meaning)


def test_a_tensor_read_twice_is_computed_once(rng):
    graph = ops.Graph(
        "x",
        TensorType(Kind.REAL, (2, 4, 4)),
        (
            ops.Conv(name="c", inputs=("x",), weight=real(rng, 2, 2, 1, 1), bias=None, window=Window((1, 1))),
            ops.Affine(name="a", inputs=("c",), scale=real(rng, 2), shift=real(rng, 2)),
            ops.Add(name="y", inputs=("a", "c")),
        ),
        "y",
    )
    twin, meaning = twin_and_meaning(graph, real(rng, 2, 2, 4, 4))
    np.testing.assert_allclose(twin, meaning, rtol=1e-5, atol=1e-5)
    assert [type(module).__name__ for module in float_twin(graph).children()].count("Conv2d") == 1


def test_a_level_sum_of_something_else_is_named(rng):
    graph = ops.Graph(
        "x",
        TensorType(Kind.REAL, (4, 4, 4)),
        (
            ops.Binarize(name="b", inputs=("x",), threshold=np.zeros(4, np.float32)),
            ops.WindowSum(name="s", inputs=("b",), window=SAME),
            ops.LevelSum(name="z", inputs=("s", "s"), step=np.ones(1, np.float32), low=np.ones(1, np.float32)),
        ),
        "z",
    )
    with pytest.raises(ValueError, match=r"z \(LevelSum\).*binary layer"):
        float_twin(graph)


def test_a_twin_can_live_in_either_memory_layout(rng):
    graph, x = sign_chain(rng), odd(rng, 2, 6, 8, 8)
    twin = float_twin(graph)
    twin.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    with torch.inference_mode():
        y = twin(torch.from_numpy(x).contiguous(memory_format=torch.channels_last)).numpy()
    assert np.array_equal(y, interpret(graph, x))
