"""GatedConv2d: a binary convolution of two bit planes, of which the second is used only where the first says so.

`binarize` makes them where the method has a gate; `counting_gates` and `average_bits` say how many bits of an
activation they use on data.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from bitwright.core import gated_ops
from bitwright.nn.layers import BinaryConv2d
from bitwright.nn.shapes import two_sided_padding


class PlaneGate(nn.Module):
    """Where a GatedConv2d reads the second plane of its input: where its sum over the first exceeds a threshold.

    Args:
        layer: The convolution, for its outputs, each of which has a threshold.
        start: Where the thresholds start.
        sparse: Whether gradients reach thresholds, and sums through the gate, only where the gate is open.

    Attributes:
        threshold: (out,), in the units of the sum; learned.
    """

    def __init__(self, layer: nn.Module, start: float = -1.0, sparse: bool = True) -> None:
        super().__init__()
        self.threshold = nn.Parameter(torch.full(layer.get_parameter("weight").shape[:1], start))
        self.sparse = sparse

    def extra_repr(self) -> str:
        """How many channels, and which gradient."""
        return f"{len(self.threshold)}, sparse={self.sparse}"


class GatedConv2d(BinaryConv2d):
    """y = o + [o > threshold] * (1/3) conv(l, w) + bias, where o = (2/3) conv(m, w), of the planes (2m + l) / 3.

    The planes are those of the input binarizer, such as `Planes`; w = weight_binarizer(weight) holds two levels -a and
    +a in each filter, or where the weight binarizer is nn.Identity any numbers. Where a gate is open, y is the
    convolution of all that the input binarizer returned.

    Shape:
        x (N, in, H, W), y (N, out, H', W'), weight (out, in/groups, kh, kw).

    Attributes:
        gate: Holds the thresholds.
        open_gates: Open gates that were counted, a tensor of no dimensions, and
        outputs: how many gates there were; see `counting_gates`.

    Reference: Zhang et al., "FracBNN: Accurate and FPGA-Efficient Binary Neural Networks with Fractional Activations",
    FPGA 2021.
    """

    gate: PlaneGate
    counts_gates = False
    open_gates: Tensor | int = 0
    outputs: int = 0

    added = (*BinaryConv2d.added, "gate.")

    def _trained(self, input: Tensor) -> Tensor:
        return self._convolve(gated_ops.trained, gated_ops.trained_gates, input)

    def _deployed(self, input: Tensor) -> Tensor:
        return self._convolve(gated_ops.deployed, gated_ops.deployed_gates, input)

    def _convolve(self, compute: Callable[..., Tensor], opened: Callable[..., Tensor], input: Tensor) -> Tensor:
        """Convolve the high plane, and where that opens the gate both."""
        x, w = self.input_binarizer(input), self.binarized_weight()
        geometry = (self.stride, two_sided_padding(self), self.dilation, self.groups)
        batch = x if x.dim() == 4 else x[None]
        if self.counts_gates:
            with torch.no_grad():
                gates = opened(batch, w, self.gate.threshold, geometry)
                self.open_gates = self.open_gates + gates.sum(dtype=torch.float64)
                self.outputs += gates.numel()
        y = compute(batch, w, self.gate.threshold, self.bias, geometry, self.gate.sparse)
        return y if x.dim() == 4 else y[0]


@contextmanager
def counting_gates(module: nn.Module) -> Iterator[None]:
    """Count the open gates of all GatedConv2d layers inside the block, from 0 on; it costs a convolution each."""
    layers = [m for m in module.modules() if isinstance(m, GatedConv2d)]
    for layer in layers:
        layer.counts_gates, layer.open_gates, layer.outputs = True, 0, 0
    try:
        yield
    finally:
        for layer in layers:
            layer.counts_gates = False


def average_bits(module: nn.Module) -> float:
    """Bits of an activation that the gated layers used while their gates were counted: 1 + open gates / gates.

    Raises:
        ValueError: nothing has been counted.
    """
    layers = [m for m in module.modules() if isinstance(m, GatedConv2d)]
    outputs = sum(layer.outputs for layer in layers)
    if not outputs:
        raise ValueError("no gates were counted: run data through the network inside `counting_gates(net)`")
    return 1 + float(sum(float(layer.open_gates) for layer in layers)) / outputs
