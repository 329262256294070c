"""Each op against its definition, element by element in scalar arithmetic; and the borders of floating point."""

from collections.abc import Iterator

import numpy as np
import pytest
from graphs import fixed_graphs, random_input, seeded_graph
from numpy import float32

from bitwright.ir import ops
from bitwright.ir.interpret import evaluate, interpret
from bitwright.ir.ops import Graph, Kind, Op, TensorType, Window
from bitwright.ir.verify import infer

ELEMENTS = 25  # of each op's output


@pytest.mark.parametrize("seed", range(len(fixed_graphs())))
def test_every_op_equals_its_definition_bit_for_bit(seed, rng):
    graph = seeded_graph(seed)
    types = infer(graph)
    tensors = interpret(graph, random_input(graph, rng), keep="all")
    for op in graph.ops:
        sample = [tensors[name][1] for name in op.inputs]
        kinds = [types[name].kind for name in op.inputs]
        found = tensors[op.name]
        assert found.shape[1:] == types[op.name].shape
        for flat in rng.integers(0, found[1].size, ELEMENTS):
            index = np.unravel_index(flat, found[1].shape)
            expected = element(op, kinds, sample, tuple(int(i) for i in index))
            assert found[1][index].tobytes() == np.asarray(expected, found.dtype).tobytes(), (op.name, index)


def element(op: Op, kinds: list[Kind], inputs: list[np.ndarray], at: tuple[int, ...]):
    """One element of an op's output, from the definition."""
    x, c = inputs[0], at[0]
    match op:
        case ops.Affine():
            y = float32(x[at]) * op.scale[c]
            return y if op.shift is None else y + op.shift[c]
        case ops.LevelSum():
            group = c // (len(x) // len(inputs[1]))
            y = op.step[c] * float32(x[at]) + op.low[c] * float32(inputs[1][group, *at[1:]])
            return y if op.shift is None else y + op.shift[c]
        case ops.Add():
            return x[at] + spread(inputs[1], at)
        case ops.Multiply():
            return x[at] * spread(inputs[1], at)
        case ops.Sigmoid():
            q, s = exponential(-abs(x[at]))
            e = q * s + s
            return (float32(1) if x[at] >= 0 else e) / (e + float32(1))
        case ops.Tanh():
            q, s = exponential(abs(x[at]) * float32(-2))
            m = q * s + (s - float32(1))
            y = -m / (m + float32(2))
            return y if x[at] > 0 else -y
        case ops.Shift():
            return x[at] + op.values[c, op.rows[at[1]], op.columns[at[2]]]
        case ops.Unflatten():
            return x[(c * op.height + at[1]) * op.width + at[2]]
        case ops.Channels():
            return x[op.index[c], *at[1:]]
        case ops.PReLU():
            return x[at] if x[at] > 0 else op.slope[c] * x[at]
        case ops.Clamp():
            return min(max(x[at], float32(op.low)), float32(op.high))
        case ops.FixedPoint():
            k = round(float(min(max(x[at] * float32(2**op.fraction), float32(-32768)), float32(32767))))
            return float32(k) * float32(0.5**op.fraction)
        case ops.Binarize():
            return x[at] >= op.threshold[c]
        case ops.Quantize():
            return sum(x[at] >= threshold for threshold in op.thresholds[:, c])
        case ops.Threshold():
            return (x[at] >= op.threshold[c]) != op.flip[c]
        case ops.Decode():
            return value(x[at], kinds[0])
        case ops.Conv():
            acc, filter_ = float32(0), op.weight[c]
            for i in range(len(filter_)):
                for ky, kx, pixel in taps(op.window, x.shape, at):
                    acc = acc + filter_[i, ky, kx] * x[first_channel(op, x, c) + i, *pixel]
            return acc if op.bias is None else acc + op.bias[c]
        case ops.PixelConv():
            inside = [(i, ky, kx, pixel) for i in range(len(x)) for ky, kx, pixel in taps(op.window, x.shape, at)]
            y = (
                float32(sum(int(op.weight[c, i, ky, kx]) * int(x[i, *pixel]) for i, ky, kx, pixel in inside))
                * op.scale[c]
            )
            return y if op.shift is None else y + op.shift[c, *(tap_class(op.window, x.shape, at, i) for i in (0, 1))]
        case ops.BinaryConv() if op.gate is not None:
            high, low = (convolved(op, Kind.SIGN, plane, at) for plane in (x // 2, x % 2))
            return 2 * high + (low if high >= op.gate[c] else 0)
        case ops.Thermometer():
            channel, i = divmod(c, len(op.thresholds))
            return x[channel, *at[1:]] >= op.thresholds[i]
        case ops.BinaryConv():
            return convolved(op, kinds[0], x, at)
        case ops.WindowSum() if x.ndim == 1:
            return sum(value(bit, kinds[0]) for bit in x)
        case ops.WindowSum():
            size = len(x) // op.groups
            channels = range(c * size, (c + 1) * size)
            return sum(value(x[i, *pixel], kinds[0]) for i in channels for _, _, pixel in taps(op.window, x.shape, at))
        case ops.Linear():
            y = in_lanes([w * a for w, a in zip(op.weight[c], x, strict=True)])
            return y if op.bias is None else y + op.bias[c]
        case ops.BinaryLinear():
            weight = Kind.SIGN if op.signed else Kind.BIT
            return sum(value(w, weight) * value(a, kinds[0]) for w, a in zip(op.weight[c], x, strict=True))
        case ops.MaxPool():
            seen = [x[c, *pixel] for _, _, pixel in taps(op.window, x.shape, at)]
            return min(seen) if op.take_min is not None and op.take_min[c] else max(seen)
        case ops.AvgPool():
            seen = [x[c, *pixel] for _, _, pixel in taps(op.window, x.shape, at)]
            count = op.window.kernel[0] * op.window.kernel[1] if op.count_padding else len(seen)
            return sum(seen, start=float32(0)) / float32(count)
        case ops.Mean():
            return in_lanes(list(x[c].ravel())) / float32(x[c].size)
        case ops.Flatten():
            return x.ravel()[c]
        case ops.PadChannels():
            inside = op.before <= c < op.before + len(x)
            return x[c - op.before, *at[1:]] if inside else float32(0)
        case ops.Concat():
            return np.concatenate(inputs)[at]
    raise AssertionError(f"{type(op).__name__} is not defined here")


def spread(b: np.ndarray, at: tuple[int, ...]) -> float32:
    """The number that an operand has for an element; along an axis of length 1 there is one for all."""
    return b[tuple(i if n > 1 else 0 for i, n in zip(at, b.shape, strict=False))]


def exponential(t: float32) -> tuple[float32, float32]:
    """The steps of docs/format.md."""
    t = max(t, float32(-87))
    k = (t * float32(1.44269502) + float32(12582912)) - float32(12582912)
    r = (t - k * float32(0.693145751953125)) - k * float32(1.42860677e-06)
    p = float32(0.00139505975)
    for coefficient in (0.00836895406, 0.041666206, 0.166665182, 0.5):
        p = p * r + float32(coefficient)
    return p * (r * r) + r, float32(2.0 ** int(k))


def convolved(op: ops.BinaryConv, kind: Kind, x: np.ndarray, at: tuple[int, ...]) -> float32:
    weight, first = Kind.SIGN if op.signed else Kind.BIT, first_channel(op, x, at[0])
    products = (
        value(op.weight[at[0], i, ky, kx], weight) * value(x[first + i, *pixel], kind)
        for i in range(op.weight.shape[1])
        for ky, kx, pixel in taps(op.window, x.shape, at)
    )
    return sum(products, start=float32(0))


def value(code, kind: Kind) -> float32:
    return float32({Kind.SIGN: 2 * int(code) - 1, Kind.DIGIT: 2 * int(code) - 3}.get(kind, int(code)))


def first_channel(op, x, c: int) -> int:
    return c // (len(op.weight) // op.groups) * (len(x) // op.groups)


def taps(window: Window, shape, at) -> Iterator[tuple[int, int, tuple[int, int]]]:
    """The taps inside the image, row-major, each with its pixel."""
    for ky in range(window.kernel[0]):
        for kx in range(window.kernel[1]):
            y = at[1] * window.stride[0] - window.padding[0] + ky * window.dilation[0]
            x = at[2] * window.stride[1] - window.padding[1] + kx * window.dilation[1]
            if 0 <= y < shape[1] and 0 <= x < shape[2]:
                yield ky, kx, (y, x)


def tap_class(window: Window, shape, at, axis: int) -> int:
    """How often the kernel rows (columns) inside the image have changed on the way to an output row (column)."""

    def inside(o: int) -> list[bool]:
        starts = o * window.stride[axis] - window.padding[axis]
        return [0 <= starts + k * window.dilation[axis] < shape[1 + axis] for k in range(window.kernel[axis])]

    return sum(inside(o) != inside(o + 1) for o in range(at[1 + axis]))


def in_lanes(values: list[float32]) -> float32:
    lanes = [float32(0)] * 16
    for k, v in enumerate(values):
        lanes[k % 16] = lanes[k % 16] + v
    for half in (8, 4, 2, 1):
        lanes = [lanes[i] + lanes[i + half] for i in range(half)]
    return lanes[0]


def test_the_fixed_graphs_hold_every_op():
    found = {type(op) for graph in fixed_graphs() for op in graph.ops}
    assert found == set(ops.Op.__subclasses__())


def one_op(op: Op, shape: tuple[int, ...]) -> Graph:
    return Graph("x", TensorType(Kind.REAL, shape), (op,), op.name)


def run_one(op: Op, values) -> list:
    x = np.array(values, np.float32)[None]
    return evaluate(op, [Kind.REAL], x)[0].tolist()


def test_the_order_of_a_convolution_is_visible():
    big = float32(2**24)
    weight = np.ones((1, 3, 1, 1), np.float32)
    graph = one_op(ops.Conv(name="y", inputs=("x",), weight=weight, bias=None, window=Window((1, 1))), (3, 1, 1))
    for channels, expected in (((big, 1, 1), big), ((1, 1, big), big + 2), ((1, big, 1), big)):
        y = interpret(graph, np.array(channels, np.float32).reshape(1, 3, 1, 1))
        assert y.item() == expected


def test_products_are_rounded_before_they_are_added():
    scale = np.array([1 + 2**-12], np.float32)
    product = scale * scale  # 1 + 2^-11 + 2^-24 rounds to 1 + 2^-11
    affine = ops.Affine(name="y", inputs=("x",), scale=scale, shift=-product)
    assert run_one(affine, scale) == [0.0]  # a fused multiply-add would leave 2^-24


def test_zeros_of_either_sign_and_nan_have_one_outcome():
    relu = ops.Clamp(name="y", inputs=("x",), low=0.0, high=float("inf"))
    clamped = run_one(relu, [-0.0, 0.0, np.nan, np.inf])
    assert clamped == [0.0, 0.0, 0.0, np.inf]
    assert not np.signbit(clamped[0])
    binarize = ops.Binarize(name="y", inputs=("x",), threshold=np.zeros(3, np.float32))
    assert run_one(binarize, [-0.0, 0.0, np.nan]) == [True, True, False]
    prelu = ops.PReLU(name="y", inputs=("x",), slope=np.full(2, 0.5, np.float32))
    assert np.signbit(run_one(prelu, [-0.0, 0.0])).tolist() == [True, False]
    pool = ops.MaxPool(name="y", inputs=("x",), window=Window((1, 2)))
    assert np.signbit(run_one(pool, [[[-0.0, 0.0]], [[0.0, -0.0]]])).ravel().tolist() == [True, False]


def test_infinities_pass_without_a_warning():
    affine = ops.Affine(name="y", inputs=("x",), scale=np.full(2, 1e38, np.float32), shift=np.zeros(2, np.float32))
    y = interpret(one_op(affine, (2,)), np.array([[1e38, np.inf]], np.float32))
    assert y.tolist() == [[np.inf, np.inf]]


def test_accumulators_are_exact_where_float32_ends():
    taps_ = 2**24
    weight = np.ones((1, taps_), np.bool_)
    op = ops.BinaryLinear(name="acc", inputs=("bits",), weight=weight, signed=True)
    x = np.ones((1, taps_), np.bool_)
    assert evaluate(op, [Kind.BIT], x).item() == taps_
    x[0, ::2] = False
    assert evaluate(op, [Kind.SIGN], x).item() == 0


def test_keep_gives_what_is_asked_for(rng):
    graph = seeded_graph(0)
    x = random_input(graph, rng)
    everything = interpret(graph, x, keep="all")
    assert list(everything) == list(infer(graph))
    assert everything[graph.output].tobytes() == interpret(graph, x).tobytes()
    name = graph.ops[0].name
    assert list(interpret(graph, x, keep=[name])) == [name]
    with pytest.raises(ValueError, match="found 'nobody'"):
        interpret(graph, x, keep=["nobody"])


@pytest.mark.parametrize("batch", [0, 1, 3])
def test_images_of_a_batch_do_not_touch(batch, rng):
    for graph in fixed_graphs()[:12]:
        x = random_input(graph, rng, 3)[:batch]
        y = interpret(graph, x)
        assert y.shape[0] == batch
        for i in range(batch):
            assert y[i].tobytes() == interpret(graph, x[i : i + 1])[0].tobytes()


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        ([1.0], TypeError, "expected a NumPy array, found list"),
        (np.zeros((1, 2)), TypeError, "expected float32, found float64"),
        (np.zeros((1, 2), np.uint8), TypeError, "expected float32, found uint8"),
        (np.zeros((1, 3), np.float32), ValueError, r"expected the shape \(N, 2\), found \(1, 3\)"),
        (np.zeros(2, np.float32), ValueError, "Add the batch dimension"),
        (np.zeros((1, 2, 1), np.float32), ValueError, r"found \(1, 2, 1\)"),
    ],
)
def test_a_wrong_batch_is_refused(x, error, message):
    relu = ops.Clamp(name="y", inputs=("x",), low=0.0, high=1.0)
    with pytest.raises(error, match=message):
        interpret(one_op(relu, (2,)), x)
