"""Random valid graphs of many kinds, for every test that compares two readings of a graph.

`graphs()` is a hypothesis strategy, `fixed_graphs()` the same few dozen graphs each time, which together hold every op,
`random_input` a batch for a graph. The structure comes from `choose(low, high)`, the parameters from a generator.
"""

from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st

from bitwright.format.int8 import to_grid
from bitwright.ir import ops
from bitwright.ir.ops import Graph, Kind, Op, TensorType, Window
from bitwright.ir.output_types import output_type
from bitwright.ir.verify import verify
from bitwright.ir.windows import class_starts

Choose = Callable[[int, int], int]
FIXED = 64


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """A strategy for valid graphs."""
    seed = draw(st.integers(0, 2**32 - 1))
    return random_graph(lambda low, high: draw(st.integers(low, high)), np.random.default_rng(seed))


def fixed_graphs() -> list[Graph]:
    """The same graphs each time; between them they hold every op."""
    return [seeded_graph(seed) for seed in range(FIXED)]


def seeded_graph(seed: int) -> Graph:
    rng = np.random.default_rng(seed)
    return random_graph(lambda low, high: int(rng.integers(low, high + 1)), rng)


def random_input(graph: Graph, rng: np.random.Generator, batch: int = 2) -> np.ndarray:
    """A batch for a graph; real inputs hold exact zeros and equal values, too."""
    shape = (batch, *graph.input_type.shape)
    if graph.input_type.kind == Kind.PIXEL:
        return rng.integers(0, 256, shape).astype(np.uint8)
    x = rng.standard_normal(shape).astype(np.float32)
    return np.where(rng.random(shape) < 0.1, np.float32(0), x)


def random_graph(choose: Choose, rng: np.random.Generator) -> Graph:
    """A graph of an input, one to four blocks and a head."""
    builder = _Builder(choose, rng)
    for _ in range(choose(1, 4)):
        block = choose(0, 11)
        if builder.is_map:
            map_blocks = (chain, general, residual, shortcut, real_layer, pools, elementwise, split, doubled)
            (*map_blocks, gated, shuffled, shifted)[block](builder)
        else:
            vector_blocks = (vector_chain, vector_general, elementwise, vector_gated, shuffled, unflattened)
            vector_blocks[block % 6](builder)
    head(builder)
    graph = builder.graph()
    verify(graph)
    return graph


class _Builder:
    """A graph in the making: `here` is a real tensor, the last one made."""

    def __init__(self, choose: Choose, rng: np.random.Generator) -> None:
        self.choose, self.rng = choose, rng
        kind = Kind.PIXEL if choose(0, 2) == 0 else Kind.REAL
        is_map = choose(0, 4) > 0
        shape = (choose(1, 7), choose(1, 11), choose(1, 19)) if is_map else (choose(1, 150),)
        self.input_type = TensorType(kind, shape)
        self.types = {"x": self.input_type}
        self.ops: list[Op] = []
        self.here = "x"
        reader = choose(0, 2) if kind == Kind.PIXEL and is_map else 0
        if reader > 0:
            (self.pixel_conv, self.thermometer)[reader - 1]()
        elif kind == Kind.PIXEL:
            self.affine("x")

    def add(self, kind: type[Op], /, *inputs: str, **fields) -> str:
        """Append an op and return its name."""
        name = f"{kind.__name__.lower()}.{len(self.ops)}"
        op = kind(name=name, inputs=inputs, **fields)
        self.types[name] = output_type(op, *(self.types[i] for i in inputs))
        self.ops.append(op)
        return name

    def graph(self) -> Graph:
        meta = {"producer": "tests", "labels": "ein, zwei, dr\u00fcben"}
        return Graph("x", self.input_type, tuple(self.ops), self.here, meta if self.choose(0, 1) else {})

    @property
    def is_map(self) -> bool:
        return len(self.types[self.here].shape) == 3

    def channels(self, name: str) -> int:
        return self.types[name].shape[0]

    def flag(self) -> bool:
        return bool(self.choose(0, 1))

    def real(self, *shape: int) -> np.ndarray:
        return self.rng.standard_normal(shape).astype(np.float32)

    def bits(self, *shape: int) -> np.ndarray:
        """Bits of a density between none and all."""
        return self.rng.random(shape) < self.choose(0, 8) / 8

    def weight(self, out: int, *taps: int) -> np.ndarray:
        """A real weight, whose filters may lie on grids, or hold two values, or one."""
        if form := self.choose(0, 2):
            return to_grid(self.real(out, *taps)) if form == 1 else self.real(out, *taps)
        low, high = self.real(2, out, *[1] * len(taps))
        return np.where(self.bits(out, *taps), high, low)

    def window(self, name: str, kernels: int = 5, pool: bool = False) -> Window:
        """A window that fits a map; for a pool one that always sees the image."""
        pairs: list[tuple[int, int, int, int]] = []
        for size in self.types[name].shape[1:]:
            kernel = self.choose(1, kernels)
            padding = self.choose(0, kernel // 2 if pool else 3)
            dilation = 1 if pool else self.choose(1, 3)
            while size + 2 * padding < dilation * (kernel - 1) + 1:
                kernel, padding = kernel - 1, min(padding, (kernel - 1) // 2)
            pairs.append((kernel, self.choose(1, 3), padding, dilation))
        (kh, sh, ph, dh), (kw, sw, pw, dw) = pairs
        return Window((kh, kw), (sh, sw), (ph, pw), (dh, dw))

    def groups(self, name: str) -> int:
        divisors = [g for g in range(1, self.channels(name) + 1) if self.channels(name) % g == 0]
        return divisors[self.choose(0, len(divisors) - 1)]

    def affine(self, name: str) -> None:
        channels = self.channels(name)
        shift = self.real(channels) if self.flag() else None
        self.here = self.add(ops.Affine, name, scale=self.real(channels), shift=shift)

    def pixel_conv(self) -> None:
        window, size = self.window("x", 7), self.types["x"].shape
        weight = self.rng.integers(-(2**15), 2**15, (self.choose(1, 20), size[0], *window.kernel))
        taps = weight[0].size
        weight = (weight // max(1, -(-taps // 256))).astype(np.int16)  # so that 32 bits hold the sums
        classes = (len(class_starts(window, axis, size[1 + axis])) for axis in (0, 1))
        shift = self.real(len(weight), *classes) if self.flag() else None
        scale = self.real(len(weight)) / 2**20
        self.here = self.add(ops.PixelConv, "x", weight=weight, scale=scale, shift=shift, window=window)

    def thermometer(self) -> None:
        thresholds = np.sort(self.rng.integers(0, 257, self.choose(1, 9))).astype(np.int16)
        bits = self.add(ops.Thermometer, "x", thresholds=thresholds)
        if self.flag():
            self.here = self.add(ops.Decode, bits)
        else:
            self.affine(self.binary_conv(bits, self.window(bits), self.groups(bits), self.flag()))

    def binarize(self, name: str) -> str:
        kind = Kind.SIGN if self.choose(0, 2) else Kind.BIT
        threshold = np.where(self.rng.random(self.channels(name)) < 0.5, 0, self.real(self.channels(name)))
        return self.add(ops.Binarize, name, threshold=threshold.astype(np.float32), kind=kind)

    def quantize(self, name: str) -> str:
        """Digits; some thresholds are equal, so that a code is left out."""
        thresholds = np.sort(self.real(3, self.channels(name)), axis=0)
        thresholds[1] = np.where(self.bits(self.channels(name)), thresholds[0], thresholds[1])
        return self.add(ops.Quantize, name, thresholds=thresholds)

    def codes(self, name: str) -> str:
        """What a binary layer reads."""
        return self.quantize(name) if self.choose(0, 3) == 0 else self.binarize(name)

    def binary_conv(self, name: str, window: Window, groups: int, signed: bool) -> str:
        out = groups * self.choose(1, max(1, 20 // groups))
        weight = self.bits(out, self.channels(name) // groups, *window.kernel)
        gated = self.types[name].kind == Kind.DIGIT and signed and self.flag()
        gate = self.gate(out) if gated else None
        return self.add(ops.BinaryConv, name, weight=weight, signed=signed, window=window, groups=groups, gate=gate)

    def gate(self, channels: int) -> np.ndarray:
        """Gates that are open here and there, always, or never."""
        gate = self.rng.integers(-5, 6, channels).astype(np.int32)
        gate[self.rng.random(channels) < 0.1] = np.iinfo(np.int32).min
        gate[self.rng.random(channels) < 0.3] = np.iinfo(np.int32).max
        return gate

    def threshold(self, name: str) -> str:
        channels = self.channels(name)
        threshold = self.rng.integers(-9, 10, channels).astype(np.int32)
        threshold[self.rng.random(channels) < 0.1] = np.iinfo(np.int32).min
        threshold[self.rng.random(channels) < 0.1] = np.iinfo(np.int32).max
        kind = Kind.SIGN if self.choose(0, 2) else Kind.BIT
        return self.add(ops.Threshold, name, threshold=threshold, flip=self.bits(channels), kind=kind)

    def max_pool(self, name: str) -> str:
        take_min = self.bits(self.channels(name)) if self.flag() else None
        return self.add(ops.MaxPool, name, window=self.window(name, 3, pool=True), take_min=take_min)

    def level_sum(self, acc: str, window_sum: str) -> None:
        channels = self.channels(acc)
        shift = self.real(channels) if self.flag() else None
        self.here = self.add(
            ops.LevelSum, acc, window_sum, step=self.real(channels), low=self.real(channels), shift=shift
        )


def chain(b: _Builder) -> None:
    """Binary convolutions with nothing but integers between them, and pools of bits and of sums."""
    bits = b.codes(b.here)
    for _ in range(b.choose(1, 3)):
        acc = b.binary_conv(bits, b.window(bits), b.groups(bits), b.flag())
        if b.choose(0, 2) == 0:
            acc = b.max_pool(acc)
        bits = b.threshold(acc)
        if b.choose(0, 2) == 0:
            bits = b.max_pool(bits)
    if b.flag():
        b.here = b.add(ops.Decode, bits)
    else:
        b.affine(b.binary_conv(bits, b.window(bits), 1, b.flag()))


def general(b: _Builder) -> None:
    """A binary convolution of a general domain: 0/1 weight bits, and the window sum beside it."""
    bits = b.codes(b.here)
    window, groups = b.window(bits), b.groups(bits)
    acc = b.binary_conv(bits, window, groups, signed=False)
    b.level_sum(acc, b.add(ops.WindowSum, bits, window=window, groups=groups))


def residual(b: _Builder) -> None:
    """Sign, binary convolution, scale, and the sum with what came in."""
    x = b.here
    bits = b.codes(x)
    side = b.choose(0, 2)
    weight = b.bits(b.channels(x), b.channels(x), 2 * side + 1, 2 * side + 1)
    window = Window((2 * side + 1, 2 * side + 1), padding=(side, side))
    gated, signed = b.types[bits].kind == Kind.DIGIT and b.flag(), b.flag()
    gate = b.gate(b.channels(x)) if gated and signed else None
    b.affine(b.add(ops.BinaryConv, bits, weight=weight, signed=signed, window=window, gate=gate))
    b.here = b.add(ops.Add, b.here, x) if b.flag() else b.add(ops.Add, x, b.here)
    if b.flag():
        b.here = b.add(ops.PReLU, b.here, slope=b.real(b.channels(b.here)))
    if b.flag():
        b.here = b.add(ops.FixedPoint, b.here, fraction=b.choose(6, 12))


def shortcut(b: _Builder) -> None:
    """A downsampling block: strided binary convolution, and averaged, padded channels beside it."""
    x = b.here
    before, after = b.choose(0, 3), b.choose(0, 3)
    stride = b.choose(1, 2) if min(b.types[x].shape[1:]) > 1 else 1
    bits = b.binarize(x)
    weight = b.bits(before + b.channels(x) + after, b.channels(x), 1, 1)
    acc = b.add(ops.BinaryConv, bits, weight=weight, signed=True, window=Window((1, 1), (stride, stride)))
    b.affine(acc)
    pooled = b.add(ops.AvgPool, x, window=Window((1, 1), (stride, stride)))
    b.here = b.add(ops.Add, b.here, b.add(ops.PadChannels, pooled, before=before, after=after))


def real_layer(b: _Builder) -> None:
    """A real-valued convolution."""
    window, groups = b.window(b.here), b.groups(b.here)
    out = groups * b.choose(1, max(1, 9 // groups))
    weight = b.weight(out, b.channels(b.here) // groups, *window.kernel)
    bias = b.real(out) if b.flag() else None
    b.here = b.add(ops.Conv, b.here, weight=weight, bias=bias, window=window, groups=groups)


def pools(b: _Builder) -> None:
    """Real-valued pooling."""
    if b.flag():
        b.here = b.max_pool(b.here)
    else:
        b.here = b.add(ops.AvgPool, b.here, window=b.window(b.here, 3, pool=True), count_padding=b.flag())


def elementwise(b: _Builder) -> None:
    """One real-valued function of one element."""
    choice = b.choose(0, 5)
    if choice == 4:
        b.here = b.add(ops.Tanh if b.flag() else ops.Sigmoid, b.here)
    elif choice == 5:
        b.here = b.add(ops.Decode, b.quantize(b.here))
    elif choice == 3:
        b.here = b.add(ops.FixedPoint, b.here, fraction=b.choose(0, 24))
    elif choice == 0:
        low = float(b.real())
        high = float("inf") if b.flag() else low + b.choose(0, 2)
        b.here = b.add(ops.Clamp, b.here, low=low, high=high)
    elif choice == 1:
        b.here = b.add(ops.PReLU, b.here, slope=b.real(b.channels(b.here)))
    else:
        b.affine(b.here)


def split(b: _Builder) -> None:
    """Two to four readings of one tensor, joined along the channels."""
    x, parts = b.here, []
    for _ in range(b.choose(1, 3)):
        b.affine(x)
        parts.append(b.here)
    b.here = b.add(ops.Concat, x, *parts)


def doubled(b: _Builder) -> None:
    """Bits or digits joined along the channels, and a binary convolution of them."""
    bits = b.codes(b.here)
    kind = b.types[bits].kind
    if kind == Kind.DIGIT:
        other = b.quantize(b.here)
    else:
        other = b.add(ops.Binarize, b.here, threshold=b.real(b.channels(b.here)), kind=kind)
    both = b.add(ops.Concat, bits, other)
    b.affine(b.binary_conv(both, b.window(both, 3), 1, b.flag()))


def gated(b: _Builder) -> None:
    """A sum or product with what is computed from the map itself: of one shape, by channel, by pixel, or one number."""
    x, spread = b.here, b.choose(0, 4)
    if spread in (1, 3, 4):
        b.here = b.add(ops.Mean, b.here)
    if spread in (2, 3):
        weight = b.real(1, b.channels(b.here), 1, 1)
        b.here = b.add(ops.Conv, b.here, weight=weight, bias=None, window=Window((1, 1)))
    if spread == 4:
        b.here = b.add(ops.Flatten, b.here)
        weight = b.real(b.channels(x), b.channels(x))
        b.here = b.add(ops.Linear, b.here, weight=weight, bias=b.real(b.channels(x)))
        if b.flag():
            b.here = b.add(ops.Unflatten, b.here, height=1, width=1)
    gate = b.add(ops.Sigmoid if b.flag() else ops.Tanh, b.here)
    b.here = b.add(ops.Multiply if b.flag() else ops.Add, x, gate)
    if b.flag():
        b.here = b.add(ops.Decode, b.binarize(b.here))


def shuffled(b: _Builder) -> None:
    """Channels in another order, some more than once and some not at all; of real numbers or of bits."""
    rank = len(b.types[b.here].shape)
    x = b.binarize(b.here) if b.flag() else b.here
    index = b.rng.integers(0, b.channels(x), b.choose(1, 40)).astype(np.int32)
    gathered = b.add(ops.Channels, x, index=index)
    if x == b.here:
        b.here = gathered
        return
    if rank == 3 and b.flag():
        sums = b.binary_conv(gathered, b.window(gathered, 3), 1, b.flag())
        index = b.rng.permutation(b.channels(sums)).astype(np.int32)
        b.affine(b.add(ops.Channels, sums, index=index))
    else:
        b.here = b.add(ops.Decode, gathered)


def shifted(b: _Builder) -> None:
    """A binary convolution and what a constant input adds to it: constants by class of row and column."""
    if b.flag():
        bits = b.binarize(b.here)
        b.affine(b.binary_conv(bits, b.window(bits, 3), 1, b.flag()))
    channels, *size = b.types[b.here].shape
    classes = [b.choose(1, min(n, 4)) for n in size]
    rows, columns = (np.sort(b.rng.integers(0, k, n)).astype(np.int32) for k, n in zip(classes, size, strict=True))
    values = b.real(channels, rows.max() + 1, columns.max() + 1)
    b.here = b.add(ops.Shift, b.here, values=values, rows=rows, columns=columns)
    if b.flag():
        b.here = b.add(ops.Decode, b.binarize(b.here))


def unflattened(b: _Builder) -> None:
    """A vector as a map, and on as a map."""
    features = b.channels(b.here)
    height = max(n for n in (1, 2, 3, 5) if features % n == 0)
    width = max(n for n in (1, 2, 7) if features // height % n == 0)
    b.here = b.add(ops.Unflatten, b.here, height=height, width=width)


def vector_gated(b: _Builder) -> None:
    """A vector times its own sigmoid, or times one number."""
    x = b.here
    if b.flag():
        b.here = b.add(ops.Linear, b.here, weight=b.real(1, b.channels(x)), bias=None)
    b.here = b.add(ops.Multiply, x, b.add(ops.Sigmoid, b.here))


def vector_chain(b: _Builder) -> None:
    """Binary linear layers with nothing but integers between them."""
    bits = b.codes(b.here)
    for _ in range(b.choose(0, 2)):
        weight = b.bits(b.choose(1, 130), b.channels(bits))
        bits = b.threshold(b.add(ops.BinaryLinear, bits, weight=weight, signed=b.flag()))
    weight = b.bits(b.choose(1, 40), b.channels(bits))
    b.affine(b.add(ops.BinaryLinear, bits, weight=weight, signed=b.flag()))


def vector_general(b: _Builder) -> None:
    """A binary linear layer of a general domain."""
    bits = b.codes(b.here)
    acc = b.add(ops.BinaryLinear, bits, weight=b.bits(b.choose(1, 40), b.channels(bits)), signed=False)
    b.level_sum(acc, b.add(ops.WindowSum, bits, window=Window((1, 1))))


def head(b: _Builder) -> None:
    """From whatever is here to an output: a map, a vector, or a linear layer's."""
    if b.is_map:
        choice = b.choose(0, 3)
        if choice == 0:
            if b.here == "x":
                elementwise(b)
            return
        if choice == 1:
            b.here = b.add(ops.Mean, b.here)
        if choice == 2:
            bits = b.add(ops.Flatten, b.codes(b.here))
            weight = b.bits(b.choose(1, 12), b.channels(bits))
            b.affine(b.add(ops.BinaryLinear, bits, weight=weight, signed=b.flag()))
            return
        b.here = b.add(ops.Flatten, b.here)
    weight = b.weight(b.choose(1, 20), b.channels(b.here))
    b.here = b.add(ops.Linear, b.here, weight=weight, bias=b.real(weight.shape[0]) if b.flag() else None)
