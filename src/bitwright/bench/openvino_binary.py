"""A graph as an OpenVINO model with `BinaryConvolution` nodes.

That node reads bits that a `FakeQuantize` of two levels, 0 and 1, has made; weights are of type u1, the lowest bit of a
byte first. It then computes sum(a * w) of a and w in {-1, +1} over the taps inside the image, if the padding is 0. Both
work on images only, so a vector is one of 1x1 pixels there.
"""

from typing import Any

import numpy as np

from bitwright.ir import ops
from bitwright.ir.ops import Kind

_BELOW_ZERO = -np.finfo(np.float32).tiny  # the next number that no flush to zero swallows


def binary_model(graph: ops.Graph, batch: int) -> Any:
    """Build the model. Binary layers need signs on both sides: weights of -1 and +1, activations of -1 and +1.

    Shape:
        The input is (batch, *graph.input_type.shape), float32.

    Args:
        graph: A graph that reads real numbers.
        batch: Samples in a call.

    Raises:
        ValueError: If an op has no counterpart.
    """
    return _Builder(graph, batch).build()


class _Builder:
    """Walks the graph once; `values` holds a node for each tensor, of bits 0 and 1 where the tensor is binary."""

    def __init__(self, graph: ops.Graph, batch: int) -> None:
        import openvino  # pyright: ignore[reportMissingImports]
        from openvino import opset1  # pyright: ignore[reportMissingImports]

        self.ov: Any = openvino
        self.opset: Any = opset1
        self.graph = graph
        shape = [batch, *graph.input_type.shape]
        self.input = opset1.parameter(shape, np.float32)
        self.values: dict[str, Any] = {graph.input: self.input}

    def build(self) -> Any:
        for op in self.graph.ops:
            node = self.values[op.name] = self._translate(op, *(self.values[name] for name in op.inputs))
            node.set_friendly_name(op.name)
        return self.ov.Model([self.values[self.graph.output]], [self.input], "binary")

    def _translate(self, op: ops.Op, x: Any, *others: Any) -> Any:
        o = self.opset
        rank = len(x.get_output_shape(0))
        match op:
            case ops.Binarize():
                below = np.nextafter(op.threshold, np.float32(-np.inf))
                return self._bits(op, x, np.where(op.threshold == 0, _BELOW_ZERO, below), np.zeros_like(below, bool))
            case ops.Threshold():
                return self._bits(op, x, op.threshold - np.float32(0.5), op.flip)
            case ops.BinaryConv():
                return self._binary(op, x, op.weight, op.window)
            case ops.BinaryLinear():
                return self._binary(op, x, op.weight[:, :, None, None], ops.Window((1, 1)))
            case ops.Conv():
                return self._conv(op, x)
            case ops.Linear():
                y = o.matmul(self._flat(x), o.constant(op.weight), False, True)
                return y if op.bias is None else o.add(y, o.constant(op.bias))
            case ops.Affine():
                y = o.multiply(x, self._column(op.scale, rank))
                return y if op.shift is None else o.add(y, self._column(op.shift, rank))
            case ops.Add():
                return o.add(x, others[0])
            case ops.PReLU():
                return o.prelu(x, o.constant(op.slope))
            case ops.Clamp():
                return o.relu(x) if (op.low, op.high) == (0, np.inf) else o.clamp(x, op.low, op.high)
            case ops.MaxPool(window=w) if w.dilation == (1, 1) and (op.take_min is None or not op.take_min.any()):
                return o.max_pool(x, w.stride, w.padding, w.padding, w.kernel)
            case ops.AvgPool(window=w) if w.dilation == (1, 1):
                return o.avg_pool(x, w.stride, w.padding, w.padding, w.kernel, not op.count_padding)
            case ops.Mean():
                return o.reduce_mean(x, o.constant(np.array([2, 3])), True)
            case ops.Flatten():
                return self._flat(x)
            case ops.PadChannels():
                before, after = (np.array([0, count, *[0] * (rank - 2)]) for count in (op.before, op.after))
                return o.pad(x, o.constant(before), o.constant(after), "constant")
            case ops.Concat():
                return o.concat([x, *others], 1)
        raise ValueError(f"{op.name} ({type(op).__name__}): this op has no counterpart in OpenVINO's binary form")

    def _bits(self, op: ops.Binarize | ops.Threshold, x: Any, below: np.ndarray, flip: np.ndarray) -> Any:
        """Two levels: the bit (x > below) != flip."""
        if op.kind != Kind.SIGN:
            raise ValueError(f"{op.name} ({type(op).__name__}): OpenVINO's bits mean -1 and +1, found {op.kind.name}")
        if len(x.get_output_shape(0)) == 2:
            x = self.opset.reshape(x, self.opset.constant(np.array([0, 0, 1, 1])), True)
        limit = self._column(below, 4)
        return self.opset.fake_quantize(x, limit, limit, self._column(flip, 4), self._column(~flip, 4), 2)

    def _binary(self, op: ops.BinaryConv | ops.BinaryLinear, x: Any, weight: np.ndarray, window: ops.Window) -> Any:
        if not op.signed or (isinstance(op, ops.BinaryConv) and op.groups != 1):
            raise ValueError(f"{op.name} ({type(op).__name__}): OpenVINO's weights are -1 and +1, in one group")
        packed = np.packbits(weight.reshape(-1), bitorder="little")
        tensor = self.ov.Tensor(packed, self.ov.Shape(weight.shape), self.ov.Type.u1)
        bits = self.ov.op.Constant(tensor, shared_memory=False)
        return self.opset.binary_convolution(x, bits, *_geometry(window), "xnor-popcount", 0.0)

    def _conv(self, op: ops.Conv, x: Any) -> Any:
        weight, o = op.weight, self.opset
        if op.groups == 1:
            y = o.convolution(x, o.constant(weight), *_geometry(op.window))
        else:
            split = weight.reshape(op.groups, -1, *weight.shape[1:])
            y = o.group_convolution(x, o.constant(split), *_geometry(op.window))
        return y if op.bias is None else o.add(y, self._column(op.bias, 4))

    def _flat(self, x: Any) -> Any:
        return self.opset.reshape(x, self.opset.constant(np.array([0, -1])), True)

    def _column(self, numbers: np.ndarray, rank: int) -> Any:
        return self.opset.constant(numbers.astype(np.float32).reshape(1, -1, *[1] * (rank - 2)))


def _geometry(window: ops.Window) -> tuple[tuple[int, int], ...]:
    """Strides, padding before and after, dilations."""
    return window.stride, window.padding, window.padding, window.dilation
