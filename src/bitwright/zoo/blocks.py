"""Blocks of residual networks: one convolution with its shortcut, or two; and the shortcuts where the shape changes."""

import inspect
from collections.abc import Callable, Collection
from typing import Literal, get_args

import torch.nn.functional as F
from torch import Tensor, nn

from bitwright.nn.activations import FPReLU, Maxout, RPReLU
from bitwright.nn.blocks import purified_shortcut

NonlinearityName = Literal["hardtanh", "relu", "prelu", "rprelu", "fprelu", "maxout", "identity"]
Nonlinearity = NonlinearityName | Callable[..., nn.Module]
Shortcut = Literal["conv", "strided_conv", "pool_conv", "conv_pool", "pad", "subsample", "copies", "binary"]
Order = Literal["conv-norm-add-act", "conv-norm-act-add", "norm-conv-norm-add-act", "norm-conv-act-add"]

_NONLINEARITIES: dict[str, Callable[[int], nn.Module]] = {
    "hardtanh": lambda channels: nn.Hardtanh(),
    "relu": lambda channels: nn.ReLU(),
    "prelu": nn.PReLU,
    "rprelu": RPReLU,
    "fprelu": FPReLU,
    "maxout": Maxout,
    "identity": lambda channels: nn.Identity(),
}
_SHORTCUTS = get_args(Shortcut)


def check_choice(argument: str, value: object, choices: Collection[object]) -> None:
    """Refuse a value that is none of the choices.

    Args:
        argument: Whose value it is, for the message.
        value: The value.
        choices: Those there are.

    Raises:
        ValueError: It is none of them.
    """
    if value not in choices:
        raise ValueError(f"{argument}: expected one of {', '.join(map(repr, choices))}, found {value!r}")


def make_nonlinearity(kind: Nonlinearity, channels: int) -> nn.Module:
    """A non-linearity for maps of so many channels.

    Args:
        kind: "prelu", "rprelu", "fprelu" and "maxout" have parameters for each channel; "identity" is none at all. Or a
            function that makes a module, called with the number of channels if it needs an argument: nn.Hardtanh.
        channels: Of the maps.

    Raises:
        ValueError: There is no such name.
    """
    if isinstance(kind, str):
        check_choice("nonlinearity", kind, _NONLINEARITIES)
        return _NONLINEARITIES[kind](channels)
    needed = [p for p in inspect.signature(kind).parameters.values() if p.default is p.empty]
    return kind(channels) if any(p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in needed) else kind()


class Subsample(nn.Module):
    """Every s-th pixel in both directions, from the first on. Shape: (N, C, H, W), (N, C, ceil(H/s), ceil(W/s))."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Keep these pixels."""
        return x[:, :, :: self.stride, :: self.stride]

    def extra_repr(self) -> str:
        """The distance s."""
        return f"stride={self.stride}"


class PadChannels(nn.Module):
    """Channels of zeros before and after x's own. Shape: (N, C, H, W), then (N, before + C + after, H, W)."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.before = before
        self.after = after

    def forward(self, x: Tensor) -> Tensor:
        """Pad x."""
        return F.pad(x, (0, 0, 0, 0, self.before, self.after))

    def extra_repr(self) -> str:
        """How many channels."""
        return f"before={self.before}, after={self.after}"


def make_shortcut(inputs: int, outputs: int, stride: int, kind: Shortcut, usual: Shortcut) -> nn.Module:
    """The way around: the identity where the shape stays, else one of these, all of which make (N, C', H/s, W/s).

    "strided_conv": a real 1x1 convolution with the stride, then batch norm. "pool_conv": average pooling, a real 1x1
    convolution, batch norm. "conv_pool": the convolution, batch norm, average pooling. "pad": average pooling, then
    channels of zeros before and behind. "subsample": every second pixel, then channels of zeros (option A). "copies":
    average pooling, then the channels again. "binary": "copies" plus a 1x1 convolution that may be binary.

    Args:
        inputs: Channels of x.
        outputs: Channels of the result, no fewer.
        stride: 1 or 2.
        kind: One of the above, or "conv" for the usual convolution.
        usual: What "conv" stands for.
    """
    check_choice("shortcut", kind, _SHORTCUTS)
    kind = usual if kind == "conv" else kind
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    pool = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
    if kind in ("copies", "binary"):
        return purified_shortcut(inputs, outputs, stride, kind)
    if kind in ("pad", "subsample"):
        before = (outputs - inputs) // 2
        smaller = pool if kind == "pad" else Subsample(stride)
        return nn.Sequential(smaller, PadChannels(before, outputs - inputs - before))
    conv = nn.Conv2d(inputs, outputs, 1, stride if kind == "strided_conv" else 1, bias=False)
    norm = nn.BatchNorm2d(outputs)
    parts = {"strided_conv": [conv, norm], "pool_conv": [pool, conv, norm], "conv_pool": [conv, norm, pool]}
    return nn.Sequential(*parts[kind])


class SingleBlock(nn.Module):
    """act(bn(conv(x)) + shortcut(x)): a shortcut around one convolution. Shape: (N, C, H, W), then (N, C', H', W')."""

    def __init__(self, inputs: int, outputs: int, stride: int, shortcut: Shortcut, nonlinearity: Nonlinearity) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(outputs)
        self.shortcut = make_shortcut(inputs, outputs, stride, shortcut, usual="pool_conv")
        self.act = make_nonlinearity(nonlinearity, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Run the block."""
        return self.act(self.bn(self.conv(x)) + self.shortcut(x))


class ActThenSumBlock(SingleBlock):
    """act(bn(conv(x))) + shortcut(x): the sum is not bent. Shape: as `SingleBlock`."""

    def forward(self, x: Tensor) -> Tensor:
        """Run the block."""
        return self.act(self.bn(self.conv(x))) + self.shortcut(x)


class NormFirstBlock(SingleBlock):
    """act(bn(conv(bn_in(x))) + shortcut(x)): the bits come from normalised values. Shape: as `SingleBlock`.

    Reference: Wang et al., "Sparsity-Inducing Binarized Neural Networks", AAAI 2020, and the authors' code.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, shortcut: Shortcut, nonlinearity: Nonlinearity) -> None:
        super().__init__(inputs, outputs, stride, shortcut, nonlinearity)
        self.bn_in = nn.BatchNorm2d(inputs)

    def forward(self, x: Tensor) -> Tensor:
        """Run the block."""
        return self.act(self.bn(self.conv(self.bn_in(x))) + self.shortcut(x))


class SumLastBlock(nn.Module):
    """act(conv(bn(x))) + shortcut(x): the sum comes last. Shape: as `SingleBlock`.

    Reference: Martinez et al., "Training Binary Neural Networks with Real-to-Binary Convolutions", ICLR 2020.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, shortcut: Shortcut, nonlinearity: Nonlinearity) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(inputs)
        self.conv = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.act = make_nonlinearity(nonlinearity, outputs)
        self.shortcut = make_shortcut(inputs, outputs, stride, shortcut, usual="pool_conv")

    def forward(self, x: Tensor) -> Tensor:
        """Run the block."""
        return self.act(self.conv(self.bn(x))) + self.shortcut(x)


class DoubleBlock(nn.Module):
    """act(bn2(conv2(act(bn1(conv1(x))))) + shortcut(x)): one around two. Shape: (N, C, H, W), then (N, C', H', W')."""

    def __init__(self, inputs: int, outputs: int, stride: int, shortcut: Shortcut, nonlinearity: Nonlinearity) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.act1 = make_nonlinearity(nonlinearity, outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = make_shortcut(inputs, outputs, stride, shortcut, usual="strided_conv")
        self.act2 = make_nonlinearity(nonlinearity, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Run the block."""
        return self.act2(self.bn2(self.conv2(self.act1(self.bn1(self.conv1(x))))) + self.shortcut(x))
