"""A graph as the float32 network that PyTorch would run in its place: the peer in comparisons of speed.

Binary layers become ordinary convolutions and matrix products, thresholds become hardtanh, and whatever is linear and
per channel (scales, batch norm, biases) is folded into the layer before it, as one does to serve a float network. So
PyTorch carries nothing that a float32 network of this shape would not carry.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from bitwright.ir import ops


def float_twin(graph: ops.Graph) -> fx.GraphModule:
    """Build the float32 network of a graph's shapes and weights, in eval mode.

    Where only integers stand between two bits it computes the same bits: bit = acc >= t of an integer acc is
    hardtanh(2 acc - 2 t + 1), whose factor 2 and shift are folded into the layer. A `Binarize` of a real tensor becomes
    hardtanh(x - t), which is cheap and has the shape of what a float network does, but other values. A `PixelConv`
    becomes a convolution with one bias a filter, that of the middle of the image.

    Shape:
        Its input is the graph's, with the batch in front, (N, C, H, W) or (N, F); float32, or uint8 where the graph
        takes pixels. Its output is float32.

    Args:
        graph: Any well-formed graph.

    Raises:
        ValueError: If an op has no counterpart in PyTorch: a dilated average, a level sum of no binary layer.
    """
    twin = _Builder(graph).build()
    return twin.eval().requires_grad_(False)


class ChannelAffine(nn.Module):
    """y = x * scale + shift per channel, in float32 whatever the input."""

    def __init__(self, scale: np.ndarray, shift: np.ndarray, rank: int) -> None:
        """Keep scale and shift, (C,), in the shape that meets samples of the given rank."""
        super().__init__()
        shape = (-1, *[1] * (rank - 1))
        self.register_buffer("scale", torch.tensor(scale).view(shape))
        self.register_buffer("shift", torch.tensor(shift).view(shape))

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        return torch.addcmul(self.get_buffer("shift"), x.float(), self.get_buffer("scale"))


@dataclass(frozen=True)
class _Layer:
    """A convolution or matrix product, perhaps with a max-pool after it, that may still absorb a scale and a shift."""

    source: fx.Node
    weight: np.ndarray  # (out, in/groups, kh, kw) or (out, in)
    bias: np.ndarray  # (out,)
    window: ops.Window
    groups: int
    pool: ops.Window | None = None
    take_min: np.ndarray | None = None  # (out,)

    def affine(self, scale: np.ndarray, shift: np.ndarray) -> "_Layer":
        """The layer followed by y * scale + shift; what falls turns the maximum of a pool into a minimum."""
        per_filter = scale.reshape(-1, *[1] * (self.weight.ndim - 1))
        take_min = None
        if self.pool is not None:
            take_min = (self.take_min if self.take_min is not None else np.zeros(len(scale), bool)) ^ (scale < 0)
        weight, bias = self.weight * per_filter, self.bias * scale + shift
        return replace(self, weight=weight, bias=bias, take_min=take_min)


class _Builder:
    """Walks the graph once; `values` holds fx nodes, and layers that wait for what can be folded into them."""

    def __init__(self, graph: ops.Graph) -> None:
        self.graph = graph
        self.root = nn.Module()
        self.fx = fx.Graph()
        self.uses = Counter(name for op in graph.ops for name in op.inputs) + Counter([graph.output])
        self.values: dict[str, fx.Node | _Layer] = {graph.input: self.fx.placeholder("x")}
        self.rank = {graph.input: len(graph.input_type.shape)}

    def build(self) -> fx.GraphModule:
        for op in self.graph.ops:
            self.rank[op.name] = {ops.Flatten: 1, ops.Unflatten: 3}.get(type(op), self.rank[op.inputs[0]])
            if not self._serves_level_sums_only(op):
                self.values[op.name] = self._translate(op)
        self.fx.output(self._node(self.graph.output))
        return fx.GraphModule(self.root, self.fx, "FloatTwin")

    def _translate(self, op: ops.Op) -> fx.Node | _Layer:
        x = op.inputs[0]
        match op:
            case ops.Conv() | ops.BinaryConv():
                bias = op.bias if isinstance(op, ops.Conv) else None
                return self._layer(op, _real_weight(op), bias, op.window, op.groups)
            case ops.Linear() | ops.BinaryLinear():
                return self._layer(op, _real_weight(op), op.bias if isinstance(op, ops.Linear) else None)
            case ops.PixelConv():
                return self._pixel_conv(op)
            case ops.LevelSum():
                return self._level_sum(op)
            case ops.Affine():
                return self._affine(x, op.scale, np.zeros_like(op.scale) if op.shift is None else op.shift)
            case ops.Threshold():
                return self._threshold(op)
            case ops.Binarize():
                low = -1.0 if op.kind == ops.Kind.SIGN else 0.0
                centre = op.threshold if op.kind == ops.Kind.SIGN else op.threshold - np.float32(0.5)
                y = self._affine(x, np.ones_like(centre), -centre) if centre.any() else self.values[x]
                return self._call(op.name, nn.Hardtanh(low, 1.0), self._emit(f"{op.name}.shift", y))
            case ops.MaxPool():
                y = self.values[x]
                if isinstance(y, _Layer) and y.pool is None and self.uses[x] == 1:
                    return replace(y, pool=op.window, take_min=op.take_min)
                return self._max_pool(op.name, self._node(x), op.window, op.take_min)
            case ops.WindowSum():
                return self._window_sum(op)
        return self._call(op.name, _pointwise(op), *(self._node(name) for name in op.inputs))

    def _layer(
        self, op: ops.Op, weight: np.ndarray, bias: np.ndarray | None, window: ops.Window | None = None, groups: int = 1
    ) -> _Layer:
        zeros = np.zeros(len(weight), np.float32)
        source = self._node(op.inputs[0])
        return _Layer(source, weight, zeros if bias is None else bias, window or ops.Window((1, 1)), groups)

    def _pixel_conv(self, op: ops.PixelConv) -> _Layer:
        x = self._call(f"{op.name}.float", _Function(Tensor.float), self._node(op.inputs[0]))
        bias = np.zeros_like(op.scale)
        if op.shift is not None:
            bias = op.shift[:, op.shift.shape[1] // 2, op.shift.shape[2] // 2]
        return _Layer(x, op.weight * op.scale[:, None, None, None], bias, op.window, 1)

    def _level_sum(self, op: ops.LevelSum) -> _Layer:
        acc = self.values.get(op.inputs[0])  # absent: a window sum, which only level sums read
        if not isinstance(acc, _Layer) or acc.pool is not None:
            raise ValueError(f"{op.name} (LevelSum): expected the accumulator of a binary layer, found {op.inputs[0]}")
        columns = (-1, *[1] * (acc.weight.ndim - 1))
        weight = acc.weight * op.step.reshape(columns) + op.low.reshape(columns)
        bias = np.zeros(len(weight), np.float32) if op.shift is None else op.shift
        return replace(acc, weight=weight.astype(np.float32), bias=bias)

    def _serves_level_sums_only(self, op: ops.Op) -> bool:
        """Whether a window sum is already in the weights of the level sums that read it."""
        readers = [other for other in self.graph.ops if op.name in other.inputs]
        return (
            isinstance(op, ops.WindowSum)
            and op.name != self.graph.output
            and all(isinstance(other, ops.LevelSum) for other in readers)
        )

    def _affine(self, x: str, scale: np.ndarray, shift: np.ndarray) -> fx.Node | _Layer:
        y = self.values[x]
        if isinstance(y, _Layer) and self.uses[x] == 1:
            return y.affine(scale, shift)
        module = ChannelAffine(scale.astype(np.float32), shift.astype(np.float32), self.rank[x])
        return self._call(f"{x}.affine", module, self._node(x))

    def _threshold(self, op: ops.Threshold) -> fx.Node:
        t = op.threshold.astype(np.float64)
        sign = op.kind == ops.Kind.SIGN
        scale, shift = (np.full_like(t, 2 if sign else 1), (1 - 2 * t) if sign else (1 - t))
        if op.flip.any():
            scale = np.where(op.flip, -scale, scale)
            shift = np.where(op.flip, -shift if sign else t, shift)
        y = self._affine(op.inputs[0], scale.astype(np.float32), shift.astype(np.float32))
        low = -1.0 if sign else 0.0
        return self._call(op.name, nn.Hardtanh(low, 1.0), self._emit(f"{op.name}.of", y))

    def _window_sum(self, op: ops.WindowSum) -> fx.Node | _Layer:
        x = op.inputs[0]
        if self.rank[x] == 1:
            return self._call(op.name, _Function(partial(torch.sum, dim=1, keepdim=True)), self._node(x))
        conv = partial(_ones_conv, window=op.window, groups=op.groups)
        return self._call(op.name, _Function(conv), self._node(x))

    def _max_pool(self, name: str, x: fx.Node, window: ops.Window, take_min: np.ndarray | None) -> fx.Node:
        if take_min is None or not take_min.any():
            return self._call(name, _Function(partial(_max_pool, window=window)), x)
        sign = np.where(take_min, -1, 1).astype(np.float32)
        turn = ChannelAffine(sign, np.zeros_like(sign), 3)
        pooled = self._call(f"{name}.max", _Function(partial(_max_pool, window=window)), self._call(name, turn, x))
        return self._call(f"{name}.back", turn, pooled)

    def _node(self, name: str) -> fx.Node:
        value = self.values[name]
        if isinstance(value, _Layer):
            value = self.values[name] = self._emit(name, value)
        return value

    def _emit(self, name: str, value: fx.Node | _Layer) -> fx.Node:
        if isinstance(value, fx.Node):
            return value
        layer = value
        y = self._call(name, _module(layer), layer.source)
        return y if layer.pool is None else self._max_pool(f"{name}.pool", y, layer.pool, layer.take_min)

    def _call(self, name: str, module: nn.Module, *inputs: fx.Node) -> fx.Node:
        key = "".join(c if c.isalnum() else "_" for c in name)
        while hasattr(self.root, key):
            key += "_"
        self.root.add_module(key, module)
        return self.fx.call_module(key, inputs)


class _Function(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.function(*inputs)


def _real_weight(op: ops.Conv | ops.BinaryConv | ops.Linear | ops.BinaryLinear) -> np.ndarray:
    weight = op.weight.astype(np.float32)
    return 2 * weight - 1 if isinstance(op, ops.BinaryConv | ops.BinaryLinear) and op.signed else weight


def _module(layer: _Layer) -> nn.Module:
    out, inputs = layer.weight.shape[:2]
    bias = bool(layer.bias.any())
    if layer.weight.ndim == 2:
        module = nn.Linear(inputs, out, bias)
    else:
        w = layer.window
        module = nn.Conv2d(
            inputs * layer.groups, out, w.kernel, w.stride, w.padding, w.dilation, groups=layer.groups, bias=bias
        )
    with torch.no_grad():
        module.weight.copy_(torch.tensor(layer.weight))
        if module.bias is not None:
            module.bias.copy_(torch.tensor(layer.bias))
    return module


def _pointwise(op: ops.Op) -> nn.Module:
    """The module of an op that has nothing to fold."""
    match op:
        case ops.Add():
            return _Function(partial(_spread, function=torch.add))
        case ops.Multiply():
            return _Function(partial(_spread, function=torch.mul))
        case ops.Sigmoid():
            return nn.Sigmoid()
        case ops.Tanh():
            return nn.Tanh()
        case ops.Shift():
            return _Function(partial(torch.add, torch.tensor(op.values[:, op.rows[:, None], op.columns])))
        case ops.Unflatten():
            return nn.Unflatten(1, (-1, op.height, op.width))
        case ops.Channels():
            return _Function(partial(torch.index_select, dim=1, index=torch.tensor(op.index)))
        case ops.PReLU():
            module = nn.PReLU(len(op.slope))
            module.weight.data.copy_(torch.tensor(op.slope))
            return module
        case ops.Clamp():
            return nn.ReLU() if (op.low, op.high) == (0, np.inf) else nn.Hardtanh(op.low, op.high)
        case ops.Thermometer():
            return _Function(partial(_thermometer, thresholds=torch.tensor(op.thresholds)))
        case ops.Decode() | ops.FixedPoint():
            return nn.Identity()
        case ops.AvgPool():
            w = op.window
            if w.dilation != (1, 1):
                raise ValueError(f"{op.name} (AvgPool): PyTorch averages without dilation, found {w.dilation}")
            return nn.AvgPool2d(w.kernel, w.stride, w.padding, count_include_pad=op.count_padding)
        case ops.Mean():
            return nn.AdaptiveAvgPool2d(1)
        case ops.Flatten():
            return nn.Flatten()
        case ops.PadChannels():
            return _Function(partial(_pad_channels, op=op))
        case ops.Concat():
            return _Function(_concat)
    raise ValueError(f"{op.name} ({type(op).__name__}): this op has no float32 counterpart")


def _max_pool(x: Tensor, window: ops.Window) -> Tensor:
    (ph, pw), (kh, kw) = window.padding, window.kernel
    if 2 * ph > kh or 2 * pw > kw:  # more than PyTorch's own padding allows
        x, (ph, pw) = F.pad(x, (pw, pw, ph, ph), value=-torch.inf), (0, 0)
    return F.max_pool2d(x, window.kernel, window.stride, (ph, pw), window.dilation)


def _ones_conv(x: Tensor, window: ops.Window, groups: int) -> Tensor:
    ones = torch.ones(groups, x.shape[1] // groups, *window.kernel)
    return F.conv2d(x, ones, None, window.stride, window.padding, window.dilation, groups)


def _spread(a: Tensor, b: Tensor, function: Callable[..., Tensor]) -> Tensor:
    return function(a, b if b.dim() == a.dim() else b[:, :, None, None])


def _thermometer(x: Tensor, thresholds: Tensor) -> Tensor:
    return (x[:, :, None] >= thresholds[:, None, None]).float().mul_(2).sub_(1).flatten(1, 2)


def _pad_channels(x: Tensor, op: ops.PadChannels) -> Tensor:
    return F.pad(x, (0, 0) * (x.dim() - 2) + (op.before, op.after))


def _concat(*parts: Tensor) -> Tensor:
    return torch.cat(parts, dim=1)
