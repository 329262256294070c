"""What the rules see of a graph: symbols, pixels, and the bits of everything else."""

import numpy as np
import pytest

from bitwright.ir import ops
from bitwright.ir.ops import Graph, Kind, TensorType, Window
from bitwright.ir.parts import Parts, parts_of_graph, symbols_of


def ones(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


def general_layer(low: np.ndarray, signed: bool = False) -> Parts:
    weight = np.ones((6, 2, 3, 3), np.bool_)
    weight[:, :, 0] = False  # a third
    window = Window((3, 3), stride=(2, 2), padding=(1, 1))
    sign = ops.Binarize(name="sign", inputs=("x",), threshold=ones(4))
    conv = ops.BinaryConv(name="conv", inputs=("sign",), weight=weight, signed=signed, window=window, groups=2)
    sums = ops.WindowSum(name="sums", inputs=("sign",), window=window, groups=2)
    tail = ops.LevelSum(name="y", inputs=("conv", "sums"), step=ones(6), low=low)
    alone = ops.Affine(name="y", inputs=("conv",), scale=ones(6))
    graph = (sign, conv, alone) if signed else (sign, conv, sums, tail)
    return parts_of_graph(Graph("x", TensorType(Kind.REAL, (4, 8, 8)), graph, "y"))


@pytest.mark.parametrize(
    ("low", "signed", "offset", "ones_of_it"),
    [(ones(6), False, True, 36), (0 * ones(6), False, False, 72), (ones(6), True, True, 36)],
)
def test_the_rarer_value_costs_unless_the_other_is_zero(low, signed: bool, offset: bool, ones_of_it: int) -> None:
    (layer,) = general_layer(low, signed).binary
    assert (layer.offset, layer.ones, layer.pixels, layer.groups, layer.planes) == (offset, ones_of_it, 16, 2, 1)
    assert (layer.channels, layer.readers, layer.kernel, layer.levels) == (4, 3, 9, 2)
    assert layer.kernel_counts.tolist() == [12]


def test_other_parameters_take_the_bits_that_they_have() -> None:
    pixels = ops.PixelConv(
        name="first", inputs=("x",), weight=np.ones((8, 3, 3, 3), np.int16), scale=ones(8), window=Window((3, 3))
    )
    digits = ops.Quantize(name="digits", inputs=("first",), thresholds=np.cumsum(ones(3, 8), 0, dtype=np.float32))
    conv = ops.BinaryConv(
        name="conv", inputs=("digits",), weight=np.eye(8, dtype=np.bool_)[:, :, None, None], signed=True,
        window=Window((1, 1)),
    )  # fmt: skip
    bits = ops.Threshold(name="bits", inputs=("conv",), threshold=np.zeros(8, np.int32), flip=np.zeros(8, np.bool_))
    flat = ops.Flatten(name="flat", inputs=("bits",))
    inner = ops.BinaryLinear(name="inner", inputs=("flat",), weight=np.zeros((5, 128), np.bool_), signed=True)
    scale = ops.Affine(name="scale", inputs=("inner",), scale=ones(5))
    last = ops.Linear(name="last", inputs=("scale",), weight=ones(10, 5), bias=ones(10))
    graph = (pixels, digits, conv, bits, flat, inner, scale, last)
    found = parts_of_graph(Graph("x", TensorType(Kind.PIXEL, (3, 6, 6)), graph, "last"))
    assert [(layer.name, layer.planes, layer.pixels, layer.symbols.shape) for layer in found.binary] == [
        ("conv", 2, 16, (8, 8, 1, 1)), ("inner", 1, 1, (5, 128, 1, 1)),
    ]  # fmt: skip
    assert [(layer.name, layer.products, layer.convolution, layer.biases) for layer in found.real] == [
        ("first", 16 * 216, True, 0), ("last", 50, False, 10),
    ]  # fmt: skip
    assert found.real_parameters == 216 + 8 + 24 + 8 + 8 + 5 + 60
    assert found.real_bits == 16 * 216 + 32 * (8 + 24 + 8 + 5 + 60) + 8
    assert found.binary_weights == 64 + 640


def test_symbols_are_ones_where_a_weight_is_rarer() -> None:
    bits = np.array([[True, True, False]])
    assert symbols_of(bits, zero=False).ravel().tolist() == [0, 0, 1]
    assert symbols_of(bits, zero=True).ravel().tolist() == [1, 1, 0]
    assert symbols_of(~bits, zero=False).shape == (1, 3, 1, 1)
