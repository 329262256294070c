"""GatedConv2d: a binary convolution of two bit planes, of which the second is used only where the first says so.

`add_gates` makes them out of the BinaryConv2d layers of a network; `counting_gates` and `average_bits` say how many
bits of an activation they use on data.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn

from bitwright.core import gated_ops
from bitwright.core.levels import has_digits
from bitwright.nn.layers import BinaryConv2d
from bitwright.nn.shapes import two_sided_padding

M = TypeVar("M", bound=nn.Module)


class GatedConv2d(BinaryConv2d):
    """y = o + [o > threshold] * (1/3) conv(l, w) + bias, where o = (2/3) conv(m, w), of the planes (2m + l) / 3.

    The planes are those of the input binarizer, such as `Planes`; w = weight_binarizer(weight) holds two levels -a and
    +a in each filter. Where a gate is open, y is the convolution of all that the binarizer returned.

    Shape:
        x (N, in, H, W), y (N, out, H', W'), weight (out, in/groups, kh, kw), threshold (out,).

    Attributes:
        threshold: The learned threshold of each output channel, in the units of o.
        sparse: Whether gradients reach thresholds, and o through its gate, only where the gate is open.
        open_gates: Open gates that were counted, a tensor of no dimensions, and
        outputs: how many gates there were; see `counting_gates`.

    Reference: Zhang et al., "FracBNN: Accurate and FPGA-Efficient Binary Neural Networks with Fractional Activations",
    FPGA 2021.
    """

    threshold: nn.Parameter
    sparse = True
    counts_gates = False
    open_gates: Tensor | int = 0
    outputs: int = 0

    added = (*BinaryConv2d.added, "threshold")

    def _trained(self, input: Tensor) -> Tensor:
        return self._convolve(gated_ops.trained, input)

    def _deployed(self, input: Tensor) -> Tensor:
        return self._convolve(gated_ops.deployed, input)

    def _convolve(self, compute: Callable[..., Tensor], input: Tensor) -> Tensor:
        """Convolve the high plane, and where that opens the gate both."""
        x, w = self.input_binarizer(input), self.binarized_weight()
        geometry = (self.stride, two_sided_padding(self), self.dilation, self.groups)
        batch = x if x.dim() == 4 else x[None]
        if self.counts_gates:
            with torch.no_grad():
                gates = gated_ops.open_gates(batch, w, self.threshold, geometry)
                self.open_gates = self.open_gates + gates.sum(dtype=torch.float64)
                self.outputs += gates.numel()
        y = compute(batch, w, self.threshold, self.bias, geometry, self.sparse)
        return y if x.dim() == 4 else y[0]


def add_gates(module: M, threshold: float = -1.0, sparse: bool = True) -> M:
    """Make the binary convolutions of two planes in a network gated ones, in place.

    Those whose input binarizer returns digits, as `Planes`, change their class and gain a Parameter `threshold`: make
    the optimizer afterwards.

    Args:
        module: any nn.Module, after `binarize`.
        threshold: where the thresholds start.
        sparse: see `GatedConv2d`.

    Returns:
        The same module.

    Raises:
        ValueError: no layer is a BinaryConv2d of digits.

    Example:
        >>> from bitwright.core.binarizers import Planes, ScaledSign
        >>> from bitwright.core.method import Method
        >>> from bitwright.nn.convert import binarize
        >>> planes = Method(weight=lambda layer: ScaledSign(), activation=lambda layer: Planes())
        >>> net = binarize(nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 3)), planes, where=["1"])
        >>> type(add_gates(net)[1]).__name__
        'GatedConv2d'
    """
    layers = [m for m in module.modules() if type(m) is BinaryConv2d and has_digits(m.input_binarizer)]
    if not layers:
        raise ValueError(
            f"no layer to gate: {type(module).__name__} has no BinaryConv2d whose input_binarizer returns digits, such "
            "as Planes"
        )
    for layer in layers:
        layer.__class__ = GatedConv2d
        assert isinstance(layer, GatedConv2d)
        start = torch.full((layer.out_channels,), threshold, dtype=layer.weight.dtype, device=layer.weight.device)
        layer.threshold = nn.Parameter(start)
        layer.sparse = sparse
    return module


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
