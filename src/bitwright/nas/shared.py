"""Shared layers: each holds the weights of its largest form, and computes with the part that a network uses."""

from math import sqrt

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bitwright.core.binarizers import ScaledSign
from bitwright.core.estimators import approx_sign
from bitwright.methods.nas_bnn import KernelMap, standardise_filters
from bitwright.nn.activations import RPReLU, by_channel
from bitwright.nn.quantized_conv import QuantizedConv2d, quantize_weight
from bitwright.zoo.nas_bnn import BlockShape


class SharedConv(nn.Module):
    """A binary convolution whose networks take parts of one weight (most outputs, most inputs / fewest groups, K, K).

    A network with C outputs, C' inputs, k x k kernels and g groups takes

    - the first C filters;
    - of their columns, for the filters of group i, the C'/g that begin at (i mod n) * C'/g, where n times C'/g fit in;
    - of the kernels, where k < K, the k x k in the middle, mapped by a learned matrix of their own (`KernelMap`).

    Binary weights of whole kernels, k = K > 1, are mapped by another learned matrix; real ones are not. Then all are
    standardised filter by filter, and used as they are or binarized: mean(abs(v)) * sign(v). Zero padding.

    Shape:
        x (N, C', H, W), result (N, C, H/stride, W/stride).

    Args:
        outputs: Most of them.
        inputs: Most of them.
        kernels: Sides there may be, in rising order.
        groups: Numbers there may be, in rising order.
    """

    def __init__(
        self, outputs: int, inputs: int, kernels: tuple[int, ...] = (1,), groups: tuple[int, ...] = (1,)
    ) -> None:
        super().__init__()
        *smaller, kernel = kernels
        self.kernel = kernel
        self.weight = nn.Parameter(torch.empty(outputs, inputs // groups[0], kernel, kernel))
        nn.init.kaiming_uniform_(self.weight, a=sqrt(5))  # as nn.Conv2d
        self.shrink = nn.ModuleDict({str(k): KernelMap(k) for k in smaller})
        self.binary_map = KernelMap(kernel) if kernel > 1 else None
        self.sign = ScaledSign()

    def part(self, outputs: int, inputs: int, kernel: int, groups: int) -> Tensor:
        """The shared weights that a network takes, (outputs, inputs/groups, kernel, kernel), kernels still unmapped."""
        columns = inputs // groups
        places = self.weight.shape[1] // columns
        w = self.weight[:outputs]
        if places > 1 and groups > 1:
            w = torch.cat([rows[:, i % places * columns :][:, :columns] for i, rows in enumerate(w.chunk(groups))])
        border = (self.kernel - kernel) // 2
        return w[:, :columns, border : border + kernel, border : border + kernel]

    def mapped(self, outputs: int, inputs: int, kernel: int, groups: int, real: bool = False) -> Tensor:
        """What is standardised and binarized: a network's latent weight. Shape: as `part`."""
        w = self.part(outputs, inputs, kernel, groups)
        if kernel < self.kernel:
            return self.shrink[str(kernel)](w)
        return w if real or self.binary_map is None else self.binary_map(w)

    def standardised(self, outputs: int, inputs: int, kernel: int = 1, groups: int = 1, real: bool = False) -> Tensor:
        """The real weights, or those that are binarized: `mapped`, then standardised. Shape: as `part`."""
        return standardise_filters(self.mapped(outputs, inputs, kernel, groups, real))

    def forward(self, x: Tensor, outputs: int, kernel: int = 1, groups: int = 1, stride: int = 1, real: bool = False):
        """Convolve x with real or binary weights."""
        w = self.standardised(outputs, x.shape[1], kernel, groups, real)
        return F.conv2d(x, w if real else self.sign(w), None, stride, kernel // 2, groups=groups)


class SharedNorm(nn.BatchNorm2d):
    """Batch norm over the first channels; the running statistics follow the passes that say so. Shape: unchanged."""

    def forward(self, input: Tensor, track: bool = False) -> Tensor:
        """Normalise, in training by the batch."""
        c = input.shape[1]
        mean, var = (self.running_mean, self.running_var) if track or not self.training else (None, None)
        return F.batch_norm(
            input,
            None if mean is None else mean[:c],
            None if var is None else var[:c],
            self.weight[:c],
            self.bias[:c],
            self.training,
            self.momentum or 0.0,
            self.eps,
        )


class SharedRPReLU(RPReLU):
    """RPReLU of the first channels. Shape: unchanged."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to x."""
        shift_in, slope, shift_out = (p[: x.shape[1]] for p in (self.shift_in, self.slope, self.shift_out))
        return F.prelu(x + by_channel(shift_in, x), slope) + by_channel(shift_out, x)


class SharedRSign(nn.Module):
    """RSign of the first channels. Shape: unchanged."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Binarize x."""
        return approx_sign(x + by_channel(self.bias[: x.shape[1]], x))


class SharedStem(QuantizedConv2d):
    """The first filters of a 3x3 convolution with weights of 8 bits. Shape: x (N, in, H, W), (N, outputs, H/s, W/s)."""

    def forward(self, input: Tensor, outputs: int) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Convolve x."""
        self.start()
        w = quantize_weight(self.weight[:outputs], self.step[:outputs], self.bits)
        return F.conv2d(input, w, None, self.stride, self.padding)


class SharedLinear(nn.Linear):
    """The first columns of a linear layer. Shape: x (N, C), result (N, out)."""

    def forward(self, input: Tensor) -> Tensor:
        """Multiply x."""
        return F.linear(input, self.weight[:, : input.shape[1]], self.bias)


class SharedBlock(nn.Module):
    """`zoo.reactnet.ReActBlock` in all its sizes. Shape: x (N, C, H, W), result (N, shape.channels, H/s, W/s).

    Args:
        inputs: Most channels of x.
        outputs: Most channels of the result.
        kernels: As for `SharedConv`.
        groups: Likewise.
    """

    def __init__(self, inputs: int, outputs: int, kernels: tuple[int, ...], groups: tuple[int, ...]) -> None:
        super().__init__()
        self.sign1 = SharedRSign(inputs)
        self.conv1 = SharedConv(inputs, inputs, kernels, groups)
        self.bn1 = SharedNorm(inputs)
        self.act1 = SharedRPReLU(inputs)
        self.sign2 = SharedRSign(inputs)
        self.conv2 = SharedConv(outputs, inputs)
        self.bn2 = SharedNorm(outputs)
        self.act2 = SharedRPReLU(outputs)

    def forward(self, x: Tensor, shape: BlockShape, real: bool = False, track: bool = False) -> Tensor:
        """Run the block."""
        y = self.conv1(self.sign1(x), x.shape[1], shape.kernel, shape.groups, shape.stride, real)
        h = self.act1(self.bn1(y, track) + adapt(x, x.shape[1], shape.stride))
        y = self.conv2(self.sign2(h), shape.channels, real=real)
        return self.act2(self.bn2(y, track) + adapt(h, shape.channels, 1))

    def standardised(self, inputs: int, shape: BlockShape) -> tuple[Tensor, Tensor]:
        """What its two convolutions binarize, see `SharedConv.standardised`, where x has this many channels."""
        first = self.conv1.standardised(inputs, inputs, shape.kernel, shape.groups)
        return first, self.conv2.standardised(shape.channels, inputs)


def adapt(x: Tensor, outputs: int, stride: int) -> Tensor:
    """A shortcut without weights: average pooling, and copies of the channels, the first `outputs` of them.

    Shape:
        x (N, C, H, W), result (N, outputs, H/stride, W/stride).
    """
    x = F.avg_pool2d(x, stride) if stride > 1 else x
    copies = -(-outputs // x.shape[1])
    return torch.cat([x] * copies, 1)[:, :outputs] if copies > 1 else x[:, :outputs]
