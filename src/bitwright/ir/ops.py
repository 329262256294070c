"""The vocabulary of a graph: frozen dataclasses, one for each op. `interpret.py` gives each of them its meaning.

An op has one output, which carries the op's name; `inputs` names earlier ops or the graph's input. Shapes are those of
one sample, (C, H, W) or (F,): the batch is a matter of the run. "Per channel" means along the first axis.
"""

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

Array = np.ndarray


class Kind(IntEnum):
    """What one element of a tensor is."""

    REAL = 0  # float32
    PIXEL = 1  # uint8
    SUM = 2  # int32, the accumulator of a binary layer
    SIGN = 3  # a bit that means -1 or +1
    BIT = 4  # a bit that means 0 or 1
    DIGIT = 5  # two bits, the code q of 0..3, that mean 2q - 3: -3, -1, +1 or +3


@dataclass(frozen=True)
class TensorType:
    """Kind and shape, (C, H, W) or (F,), of one sample of a tensor."""

    kind: Kind
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Window:
    """Geometry of everything that slides: (vertical, horizontal) pairs, zero padding on both sides."""

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)


@dataclass(frozen=True, eq=False, kw_only=True)
class Op:
    """What every op has: its name (and its output's), the names it reads, and a remark for `bw inspect`."""

    name: str
    inputs: tuple[str, ...]
    note: str = ""


@dataclass(frozen=True, eq=False, kw_only=True)
class Affine(Op):
    """y = x * scale + shift per channel, of a real, pixel or sum tensor; batch norm, biases and scale factors."""

    scale: Array  # (C,) float32
    shift: Array | None = None  # (C,) float32


@dataclass(frozen=True, eq=False, kw_only=True)
class LevelSum(Op):
    """y = step * acc + low * window_sum: the sum over weights of a general domain {low, low + step}.

    Inputs: `acc` of a binary layer whose weight bits count as 0/1, and the `WindowSum` of the same geometry, of which
    channel g serves the output channels of group g.
    """

    step: Array  # (C,) float32
    low: Array  # (C,) float32
    shift: Array | None = None  # (C,) float32, the layer's bias


@dataclass(frozen=True, eq=False, kw_only=True)
class Add(Op):
    """y = a + b, of real tensors; b has the shape of a or is spread over it, see `Multiply`."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Multiply(Op):
    """y = a * b, of real tensors; b has the shape of a or is spread over it.

    Over a map (C, H, W) that is (C, 1, 1) or (C,), one number a channel, (1, H, W), one a pixel, or (1, 1, 1) or (1,);
    over a vector (F,) it is (1,).
    """


@dataclass(frozen=True, eq=False, kw_only=True)
class Sigmoid(Op):
    """y = 1 / (1 + e^-x), in the operations of `functions.py`."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Tanh(Op):
    """y = tanh(x), in the operations of `functions.py`."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Shift(Op):
    """y = x + values[c, rows[y], columns[x]], of a real map: a constant that differs by pixel, of few classes.

    Such is what a zero-padded convolution makes of an input that is the same everywhere.
    """

    values: Array  # (C, R, Q) float32; R * Q <= limits.MAX_CLASSES
    rows: Array  # (H,) int32, the class of each row; R is the largest plus 1
    columns: Array  # (W,) int32, likewise


@dataclass(frozen=True, eq=False, kw_only=True)
class PReLU(Op):
    """y = x where x > 0, else slope * x."""

    slope: Array  # (C,) float32


@dataclass(frozen=True, eq=False, kw_only=True)
class Clamp(Op):
    """y = min(max(x, low), high); hardtanh, and ReLU with high = infinity. The limits are rounded to float32."""

    low: float
    high: float

    def __post_init__(self) -> None:
        with np.errstate(over="ignore"):
            object.__setattr__(self, "low", float(np.float32(self.low)))
            object.__setattr__(self, "high", float(np.float32(self.high)))


@dataclass(frozen=True, eq=False, kw_only=True)
class FixedPoint(Op):
    """y = k / 2^fraction for the integer k nearest to x * 2^fraction, ties to even, k from -32768 to 32767.

    The values fit 16 bits, and engines may store them so.
    """

    fraction: int  # 0..24


@dataclass(frozen=True, eq=False, kw_only=True)
class Binarize(Op):
    """bit = x >= threshold, of a real tensor."""

    threshold: Array  # (C,) float32
    kind: Kind = Kind.SIGN


@dataclass(frozen=True, eq=False, kw_only=True)
class Threshold(Op):
    """bit = (acc >= threshold) != flip, of a sum tensor: a whole real-valued tail, folded by tabulation."""

    threshold: Array  # (C,) int32
    flip: Array  # (C,) bool
    kind: Kind = Kind.SIGN


@dataclass(frozen=True, eq=False, kw_only=True)
class Quantize(Op):
    """Digit of the code q = the number of thresholds with x >= threshold, of a real tensor."""

    thresholds: Array  # (3, C) float32, each row at least as high as the one before


@dataclass(frozen=True, eq=False, kw_only=True)
class Decode(Op):
    """The real values of a bit tensor: -1 or +1 of a SIGN, 0 or 1 of a BIT, -3, -1, +1 or +3 of a DIGIT."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Conv(Op):
    """Real-valued convolution, zero padding."""

    weight: Array  # (out, in/groups, kh, kw) float32
    bias: Array | None  # (out,) float32
    window: Window
    groups: int = 1


@dataclass(frozen=True, eq=False, kw_only=True)
class PixelConv(Op):
    """y = acc * scale + shift, of the exact integers acc = sum over the taps inside the image of pixel * weight.

    The shift depends on which taps are inside: padding stands for the mean pixel, not for black. Neighbouring output
    rows for which the same kernel rows are inside make a class, and columns likewise: see `windows.class_starts`. Of
    each filter, 255 times the sum of the magnitudes is less than 2^31.
    """

    weight: Array  # (out, in, kh, kw) int16
    scale: Array  # (out,) float32
    shift: Array | None = None  # (out, classes of rows, classes of columns) float32
    window: Window


@dataclass(frozen=True, eq=False, kw_only=True)
class Thermometer(Op):
    """bit = pixel >= threshold: each channel of pixels becomes as many signs as there are thresholds.

    Channel c * B + i of the output compares channel c of the input with threshold i of B. No pixel reaches 256.
    """

    thresholds: Array  # (B,) int16 from 0 to 256, ascending


@dataclass(frozen=True, eq=False, kw_only=True)
class BinaryConv(Op):
    """acc = sum over the taps inside the image of a * w; a from the input's kind, w = 2b-1 if signed, else b.

    A digit is 2m + l, of a high and a low plane of signs, so that acc = 2 * high + low, of the sums over these planes.
    With a gate, which takes digits and signed weights, acc = 2 * high + (low if high >= gate else 0): where the gate is
    shut, nobody needs the low plane.
    """

    weight: Array  # (out, in/groups, kh, kw) bool
    signed: bool
    window: Window
    groups: int = 1
    gate: Array | None = None  # (out,) int32


@dataclass(frozen=True, eq=False, kw_only=True)
class WindowSum(Op):
    """acc = sum over the taps inside the image, and the channels of a group, of a: one all-ones filter a group.

    Of a vector (F,), with the 1x1 window: the sum of its F elements, shape (1,).
    """

    window: Window
    groups: int = 1


@dataclass(frozen=True, eq=False, kw_only=True)
class Linear(Op):
    """y = weight @ x + bias, of a real vector."""

    weight: Array  # (out, in) float32
    bias: Array | None  # (out,) float32


@dataclass(frozen=True, eq=False, kw_only=True)
class BinaryLinear(Op):
    """acc = sum of a * w over a vector of bits or digits; w = 2b-1 if signed, else b."""

    weight: Array  # (out, in) bool
    signed: bool


@dataclass(frozen=True, eq=False, kw_only=True)
class MaxPool(Op):
    """Maximum over the taps inside the image, of all but pixels and digits; minimum in the channels of take_min."""

    window: Window
    take_min: Array | None = None  # (C,) bool


@dataclass(frozen=True, eq=False, kw_only=True)
class AvgPool(Op):
    """Mean over the window, real; taps outside the image count in the divisor if count_padding."""

    window: Window
    count_padding: bool = True


@dataclass(frozen=True, eq=False, kw_only=True)
class Mean(Op):
    """Global average pooling: (C, H, W) -> (C, 1, 1), real."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Flatten(Op):
    """(C, H, W) -> (C*H*W,), row-major; any kind."""


@dataclass(frozen=True, eq=False, kw_only=True)
class PadChannels(Op):
    """`before` and `after` channels of zeros around a real tensor's own: the shortcut without parameters."""

    before: int
    after: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Concat(Op):
    """Two to four tensors of one kind, one after another along the channels."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Channels(Op):
    """Output channel i is input channel index[i], of any kind: shuffles, slices and repetitions."""

    index: Array  # (out,) int32


@dataclass(frozen=True, eq=False, kw_only=True)
class Unflatten(Op):
    """(C*H*W,) -> (C, H, W), row-major; any kind but bits, whose layout changes."""

    height: int
    width: int


@dataclass(frozen=True)
class Graph:
    """A network of one input and one output: ops in an order in which each reads only what came before.

    `meta` holds short texts that travel in the file (the producer, the class labels).
    """

    input: str
    input_type: TensorType
    ops: tuple[Op, ...]
    output: str
    meta: dict[str, str] = field(default_factory=dict)
