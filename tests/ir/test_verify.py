"""Types as they are derived, and each rule of a well-formed graph by a graph that breaks it."""

from dataclasses import replace

import numpy as np
import pytest
from graphs import fixed_graphs, graphs
from hypothesis import given

from bitwright.errors import GraphError
from bitwright.ir import limits, ops
from bitwright.ir.ops import Graph, Kind, TensorType, Window
from bitwright.ir.output_types import output_type
from bitwright.ir.verify import infer, verify
from bitwright.ir.windows import output_size

REAL_MAP = TensorType(Kind.REAL, (4, 6, 8))
SIGN_MAP = TensorType(Kind.SIGN, (4, 6, 8))
SUM_MAP = TensorType(Kind.SUM, (4, 6, 8))
PIXEL_MAP = TensorType(Kind.PIXEL, (4, 6, 8))
REAL_VECTOR = TensorType(Kind.REAL, (4,))
BIT_VECTOR = TensorType(Kind.BIT, (4,))
DIGIT_MAP = TensorType(Kind.DIGIT, (4, 6, 8))
UNIT = Window((1, 1))


def floats(*shape, value=1.0):
    return np.full(shape, value, np.float32)


def shorts(*shape, value=1):
    return np.full(shape, value, np.int16)


def bits(*shape):
    return np.ones(shape, np.bool_)


def ints(*values):
    return np.array(values, np.int32)


def make(op, inputs=1, /, **fields):
    return op(name="y", inputs=("a", "b", "c", "d", "e")[:inputs], **fields)


def clamp(name, *inputs, **fields):
    return ops.Clamp(name=name, inputs=inputs, low=0.0, high=1.0, **fields)


def chain_of(*ops_, output=None, **fields):
    return Graph("x", REAL_VECTOR, ops_, output or ops_[-1].name, **fields)


@given(graphs())
def test_random_graphs_are_well_formed(graph):
    assert list(verify(graph)) == [graph.input, *(op.name for op in graph.ops)]


@pytest.mark.parametrize(
    ("op", "inputs", "expected"),
    [
        (make(ops.Affine, scale=floats(4)), [SUM_MAP], REAL_MAP),
        (make(ops.Affine, scale=floats(4)), [TensorType(Kind.PIXEL, (4, 6, 8))], REAL_MAP),
        (make(ops.Conv, weight=floats(6, 2, 3, 3), bias=None, window=Window((3, 3), (2, 1), (1, 0)), groups=2),
         [REAL_MAP], TensorType(Kind.REAL, (6, 3, 6))),
        (make(ops.PixelConv, weight=shorts(6, 4, 3, 3), scale=floats(6), shift=floats(6, 2, 3),
              window=Window((3, 3), (2, 1), (1, 1))),
         [PIXEL_MAP], TensorType(Kind.REAL, (6, 3, 8))),
        (make(ops.Thermometer, thresholds=shorts(8)), [PIXEL_MAP], TensorType(Kind.SIGN, (32, 6, 8))),
        (make(ops.BinaryConv, weight=bits(5, 4, 3, 2), signed=True, window=Window((3, 2), dilation=(2, 3))),
         [SIGN_MAP], TensorType(Kind.SUM, (5, 2, 5))),
        (make(ops.WindowSum, window=Window((3, 3)), groups=2), [SIGN_MAP], TensorType(Kind.SUM, (2, 4, 6))),
        (make(ops.WindowSum, window=UNIT), [BIT_VECTOR], TensorType(Kind.SUM, (1,))),
        (make(ops.BinaryLinear, weight=bits(9, 4), signed=False), [BIT_VECTOR], TensorType(Kind.SUM, (9,))),
        (make(ops.MaxPool, window=Window((2, 2), (2, 2))), [SIGN_MAP], TensorType(Kind.SIGN, (4, 3, 4))),
        (make(ops.Mean), [REAL_MAP], TensorType(Kind.REAL, (4, 1, 1))),
        (make(ops.Flatten), [SIGN_MAP], TensorType(Kind.SIGN, (192,))),
        (make(ops.PadChannels, before=1, after=2), [REAL_MAP], TensorType(Kind.REAL, (7, 6, 8))),
        (make(ops.Add, 2), [REAL_MAP, TensorType(Kind.REAL, (4, 1, 1))], REAL_MAP),
        (make(ops.Add, 2), [REAL_MAP, REAL_VECTOR], REAL_MAP),
        (make(ops.Multiply, 2), [REAL_MAP, TensorType(Kind.REAL, (1, 6, 8))], REAL_MAP),
        (make(ops.Multiply, 2), [REAL_VECTOR, TensorType(Kind.REAL, (1,))], REAL_VECTOR),
        (make(ops.Channels, index=ints(3, 0, 3, 1, 1)), [SIGN_MAP], TensorType(Kind.SIGN, (5, 6, 8))),
        (make(ops.Shift, values=floats(4, 2, 1), rows=ints(0, 1, 1, 1, 1, 0), columns=ints(*[0] * 8)), [REAL_MAP],
         REAL_MAP),
        (make(ops.Unflatten, height=1, width=2), [REAL_VECTOR], TensorType(Kind.REAL, (2, 1, 2))),
        (make(ops.Quantize, thresholds=floats(3, 4)), [REAL_MAP], DIGIT_MAP),
        (make(ops.Flatten), [DIGIT_MAP], TensorType(Kind.DIGIT, (192,))),
        (make(ops.Decode), [DIGIT_MAP], REAL_MAP),
        (make(ops.Concat, 3), [BIT_VECTOR, BIT_VECTOR, BIT_VECTOR], TensorType(Kind.BIT, (12,))),
    ],
)  # fmt: skip
def test_types_are_derived(op, inputs, expected):
    assert output_type(op, *inputs) == expected


@pytest.mark.parametrize(
    ("op", "inputs", "message"),
    [
        (make(ops.Add, 1), [REAL_MAP], "expected 2 inputs, found 1"),
        (make(ops.Add, 2), [REAL_MAP, TensorType(Kind.REAL, (3,))],
         r"expected a second operand of the shape \(4, 6, 8\), or one for each channel or pixel of it, found \(3,\)"),
        (make(ops.Multiply, 2), [REAL_VECTOR, REAL_MAP], r"operand of the shape \(4,\), .* found \(4, 6, 8\)"),
        (make(ops.Multiply, 2), [REAL_MAP, TensorType(Kind.REAL, (4, 6, 1))], r"found \(4, 6, 1\)"),
        (make(ops.Unflatten, height=3, width=1), [REAL_VECTOR], r"whole maps of 3 x 1, found \(4,\)"),
        (make(ops.Unflatten, height=1, width=1), [BIT_VECTOR], "expected 'a' to be REAL or PIXEL or SUM, found BIT"),
        (make(ops.Unflatten, height=0, width=1), [REAL_VECTOR], "expected height from 1 to"),
        (make(ops.Sigmoid), [SIGN_MAP], "expected 'a' to be REAL, found SIGN"),
        (make(ops.Channels, index=ints(0, 4)), [REAL_MAP], "expected every index from 0 to 3, found 4"),
        (make(ops.Channels, index=ints(-1)), [REAL_MAP], "expected every index from 0 to 3, found -1"),
        (make(ops.Channels, index=ints()), [REAL_MAP], r"expected index of shape \(out,\), found \(0,\)"),
        (make(ops.Shift, values=floats(4, 1, 1), rows=ints(*[0] * 6), columns=ints(*[0] * 7)), [REAL_MAP],
         r"expected columns of shape \(8,\), found \(7,\)"),
        (make(ops.Shift, values=floats(4, 1, 1), rows=ints(0, 0, 6, 0, 0, 0), columns=ints(*[0] * 8)), [REAL_MAP],
         "expected the largest of rows from 0 to 5, found 6"),
        (make(ops.Shift, values=floats(4, 1, 1), rows=ints(*[0] * 6), columns=ints(0, 1, *[0] * 6)), [REAL_MAP],
         r"expected values of shape \(4, 1, 2\), found \(4, 1, 1\)"),
        (make(ops.Shift, values=floats(4, 20, 20), rows=ints(*range(20)), columns=ints(*range(20))),
         [TensorType(Kind.REAL, (4, 20, 20))], "expected at most 256 classes of pixels, found 20 x 20"),
        (make(ops.Add, 2), [REAL_MAP, SIGN_MAP], "expected 'b' to be REAL, found SIGN"),
        (make(ops.Affine, scale=floats(3)), [REAL_MAP], r"expected scale of shape \(4,\), found \(3,\)"),
        (make(ops.Affine, scale=floats(4).astype(float)), [REAL_MAP], "expected scale to be float32, found float64"),
        (make(ops.Affine, scale=None), [REAL_MAP], "expected scale to be float32, found NoneType"),
        (make(ops.Affine, scale=floats(4), shift=floats(5)), [REAL_MAP], "expected shift of shape"),
        (make(ops.LevelSum, 2, step=floats(4), low=floats(4)), [SUM_MAP, TensorType(Kind.SUM, (3, 6, 8))],
         r"expected a window sum of \(g, 6, 8\) with g dividing 4, found \(3, 6, 8\)"),
        (make(ops.LevelSum, 2, step=floats(4), low=floats(4)), [SUM_MAP, TensorType(Kind.SUM, (1, 6, 7))],
         "expected a window sum"),
        (make(ops.Binarize, threshold=floats(4), kind=Kind.SUM), [REAL_MAP], "expected the kind SIGN or BIT"),
        (make(ops.Threshold, threshold=floats(4), flip=bits(4)), [SUM_MAP], "expected threshold to be int32"),
        (make(ops.Decode), [REAL_MAP], "expected 'a' to be SIGN or BIT or DIGIT, found REAL"),
        (make(ops.Quantize, thresholds=floats(4)), [REAL_MAP], r"expected thresholds of shape \(3, 4\), found \(4,\)"),
        (make(ops.BinaryConv, weight=bits(5, 4, 1, 1), signed=True, window=UNIT, gate=np.zeros(4, np.int32)),
         [DIGIT_MAP], r"expected gate of shape \(5,\), found \(4,\)"),
        (make(ops.BinaryConv, weight=bits(5, 4, 1, 1), signed=True, window=UNIT, gate=np.zeros(5, np.int32)),
         [SIGN_MAP], "expected digits and signed weights for a gate, found SIGN, signed True"),
        (make(ops.BinaryConv, weight=bits(5, 4, 1, 1), signed=False, window=UNIT, gate=np.zeros(5, np.int32)),
         [DIGIT_MAP], "expected digits and signed weights for a gate, found DIGIT, signed False"),
        (make(ops.BinaryLinear, weight=bits(1, 2**23), signed=True), [TensorType(Kind.DIGIT, (2**23,))],
         "at most 5592405 taps in one sum, found 8388608"),
        (make(ops.MaxPool, window=UNIT), [DIGIT_MAP], "found DIGIT"),
        (make(ops.Conv, weight=floats(6, 3, 3, 3), bias=None, window=Window((3, 3))), [REAL_MAP],
         r"expected weight of shape \(out, 4, 3, 3\), found \(6, 3, 3, 3\)"),
        (make(ops.Conv, weight=floats(6, 4, 7, 7), bias=None, window=Window((7, 7))), [REAL_MAP],
         r"expected an image that .* fits into, found 6x8 pixels"),
        (make(ops.Conv, weight=floats(6, 4, 1, 1), bias=None, window=UNIT, groups=3), [REAL_MAP],
         "expected groups that divide the 4 input channels, found 3 groups"),
        (make(ops.Conv, weight=floats(5, 2, 1, 1), bias=None, window=UNIT, groups=2), [REAL_MAP],
         "expected 2 groups to divide the output channels, found 5 of them"),
        (make(ops.Conv, weight=floats(5, 4, 1, 1), bias=floats(4), window=UNIT), [REAL_MAP], "expected bias of shape"),
        (make(ops.Conv, weight=floats(5, 4, 1, 1), bias=None, window=UNIT), [REAL_VECTOR], r"of shape \(C, H, W\)"),
        (make(ops.PixelConv, weight=shorts(5, 4, 1, 1), scale=floats(5), window=UNIT), [REAL_MAP],
         "expected 'a' to be PIXEL, found REAL"),
        (make(ops.PixelConv, weight=floats(5, 4, 1, 1), scale=floats(5), window=UNIT), [PIXEL_MAP],
         "expected weight to be int16, found float32"),
        (make(ops.PixelConv, weight=shorts(5, 4, 3, 3), scale=floats(5), shift=floats(5, 1, 1),
              window=Window((3, 3), padding=(0, 1))),
         [PIXEL_MAP], r"expected shift of shape \(5, 1, 3\), found \(5, 1, 1\)"),
        (make(ops.Thermometer, thresholds=shorts(8)), [REAL_MAP], "expected 'a' to be PIXEL, found REAL"),
        (make(ops.Thermometer, thresholds=shorts(0)), [PIXEL_MAP], r"expected thresholds of shape \(count,\), found"),
        (make(ops.BinaryConv, weight=floats(5, 4, 1, 1), signed=True, window=UNIT), [SIGN_MAP],
         "expected weight to be bool, found float32"),
        (make(ops.BinaryConv, weight=bits(5, 4, 1, 1), signed=True, window=UNIT), [REAL_MAP],
         "expected 'a' to be SIGN or BIT"),
        (make(ops.WindowSum, window=Window((3, 3))), [BIT_VECTOR], "expected the 1x1 window and one group"),
        (make(ops.WindowSum, window=UNIT), [TensorType(Kind.BIT, (2**24 + 1,))], "at most 16777216 taps in one sum"),
        (make(ops.Linear, weight=floats(5, 4), bias=None), [REAL_MAP], r"expected 'a' of shape \(F,\)"),
        (make(ops.BinaryLinear, weight=bits(0, 4), signed=True), [BIT_VECTOR], r"shape \(out, 4\), found \(0, 4\)"),
        (make(ops.MaxPool, window=UNIT), [TensorType(Kind.PIXEL, (4, 6, 8))], "found PIXEL"),
        (make(ops.MaxPool, window=UNIT, take_min=bits(3)), [REAL_MAP], "expected take_min of shape"),
        (make(ops.MaxPool, window=Window((0, 1))), [REAL_MAP], "expected kernel from 1 to 255, found 0"),
        (make(ops.MaxPool, window=Window((1, 1), (1, 256))), [REAL_MAP], "expected stride from 1 to 255, found 256"),
        (make(ops.MaxPool, window=Window((1, 1), padding=(-1, 0))), [REAL_MAP], "expected padding from 0 to 255"),
        (make(ops.PadChannels, before=-1, after=2), [REAL_MAP], "expected before from 0"),
        (make(ops.Concat, 1), [REAL_MAP], "expected 2 to 4 inputs, found 1"),
        (make(ops.Concat, 5), [REAL_MAP] * 5, "expected 2 to 4 inputs, found 5"),
        (make(ops.Concat, 2), [SIGN_MAP, BIT_VECTOR], r"agree but for their channels with SIGN \(4, 6, 8\), found BIT"),
    ],
)  # fmt: skip
def test_an_op_that_does_not_fit_is_refused_by_name(op, inputs, message):
    with pytest.raises(GraphError, match=rf"^y \({type(op).__name__}\): .*{message}"):
        output_type(op, *inputs)


@pytest.mark.parametrize("padding", range(4))
@pytest.mark.parametrize("dilation", [1, 2, 3])
@pytest.mark.parametrize("stride", [1, 2, 5])
def test_pools_need_a_tap_inside_the_image(padding, dilation, stride):
    for kernel in range(1, 5):
        for size in range(1, 7):
            window = Window((kernel, 1), (stride, 1), (padding, 0), (dilation, 1))
            rows, _ = output_size(window, size, 1)
            if rows < 1:
                continue
            starts = [row * stride - padding for row in range(rows)]
            sound = all(any(0 <= s + tap * dilation < size for tap in range(kernel)) for s in starts)
            op, x = make(ops.MaxPool, window=window), TensorType(Kind.REAL, (1, size, 1))
            if sound:
                assert output_type(op, x).shape == (1, rows, 1)
            else:
                with pytest.raises(GraphError, match="a tap inside the image"):
                    output_type(op, x)


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (chain_of(clamp("y", "x"), clamp("y", "y")), "expected a name of its own, found 'y' a second time"),
        (chain_of(clamp("x", "x")), "expected a name of its own, found 'x' a second time"),
        (chain_of(clamp("y", "z"), clamp("z", "x")), "expected inputs from among the ops before it, found 'z'"),
        (chain_of(clamp("y", "x"), clamp("z", "x")), "^y: expected every tensor to be read"),
        (chain_of(clamp("y", "x"), clamp("z", "y"), output="y"), "^z: expected every tensor to be read"),
        (chain_of(clamp("y", "x"), output="w"), "expected the name of an op, found 'w'"),
        (chain_of(clamp("", "x")), "to have a name, found ''"),
        (chain_of(clamp("y", "x"), meta={"": "no key"}), "to have a name, found ''"),
        (chain_of(clamp("\ud800", "x")), "expected texts that UTF-8 can hold"),
        (chain_of(clamp("y", "x", note="n" * limits.MAX_TEXT)), "bytes of names and texts, found 1048578"),
        (chain_of(clamp("y", "x"), meta={str(i): "" for i in range(257)}), "256 metadata pairs, found 257"),
        (Graph("x", REAL_VECTOR, (), "x"), "expected 1 to 4096 ops, found 0"),
        (chain_of(*(clamp(f"y{i}", f"y{i - 1}" if i else "x") for i in range(4097))), "ops, found 4097"),
        (replace(chain_of(clamp("y", "x")), input_type=TensorType(Kind.REAL, (4, 6))), r"found \(4, 6\)"),
        (replace(chain_of(clamp("y", "x")), input_type=TensorType(Kind.REAL, (0,))), r"found \(0,\)"),
        (replace(chain_of(clamp("y", "x")), input_type=TensorType(Kind.REAL, (1 << 12, 1 << 12, 1 << 12))),
         "expected at most 268435456 elements"),
        (Graph("x", BIT_VECTOR, (ops.Decode(name="y", inputs=("x",)),), "y"), "expected REAL or PIXEL, found BIT"),
        (chain_of(ops.Binarize(name="y", inputs=("x",), threshold=floats(4))), "expected a real output, found SIGN"),
        (chain_of(ops.Concat(name="y", inputs=("x",) * 4), ops.PadChannels(name="z", inputs=("y",), before=0,
                                                                           after=1 << 24)),
         r"z \(PadChannels\): the output: expected a shape"),
    ],
)  # fmt: skip
def test_a_graph_that_breaks_a_rule_is_refused(graph, message):
    with pytest.raises(GraphError, match=message):
        verify(graph)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_parameters_are_finite(value):
    slope = floats(4)
    slope[2] = value
    prelu = ops.PReLU(name="y", inputs=("x",), slope=slope)
    with pytest.raises(GraphError, match=rf"^y \(PReLU\): expected finite values in slope, found {value} at \[2\]"):
        verify(chain_of(prelu))
    infer(chain_of(prelu))  # looks at structure only


@pytest.mark.parametrize(("low", "high"), [(np.nan, 1), (0, np.nan), (-np.inf, 0), (2, 1), (np.inf, np.inf)])
def test_the_limits_of_a_clamp_are_in_order(low, high):
    with pytest.raises(GraphError, match="expected a finite low that is not above high"):
        verify(chain_of(ops.Clamp(name="y", inputs=("x",), low=low, high=high)))


def test_the_thresholds_of_digits_ascend():
    thresholds = np.array([[0, 1], [0, 2], [3, 2]], np.float32)
    decode = ops.Decode(name="z", inputs=("y",))
    graph = chain_of(ops.Quantize(name="y", inputs=("x",), thresholds=thresholds), decode)
    graph = replace(graph, input_type=TensorType(Kind.REAL, (2,)))
    verify(graph)
    thresholds[2, 1] = np.nextafter(np.float32(2), np.float32(0))
    with pytest.raises(GraphError, match=r"^y \(Quantize\): expected thresholds that ascend in every channel"):
        verify(graph)


@pytest.mark.parametrize("thresholds", [[3, 2], [-1, 4], [0, 257]])
def test_thresholds_ascend_and_are_those_of_pixels(thresholds):
    code = ops.Thermometer(name="bits", inputs=("x",), thresholds=np.array(thresholds, np.int16))
    graph = Graph("x", PIXEL_MAP, (code, ops.Decode(name="y", inputs=("bits",))), "y")
    with pytest.raises(GraphError, match=r"^bits \(Thermometer\): expected ascending thresholds from 0 to 256, found"):
        verify(graph)


def test_a_clamp_may_be_open_upwards_and_holds_float32():
    relu = ops.Clamp(name="y", inputs=("x",), low=0.1, high=float("inf"))
    verify(chain_of(relu))
    assert relu.low == float(np.float32(0.1))


def test_the_fixed_graphs_are_well_formed():
    for graph in fixed_graphs():
        assert verify(graph)[graph.output].kind == Kind.REAL
