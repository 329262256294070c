"""Unbalanced-activation-style: the threshold of any method's activations moves, so that +1 is rare or common.

Binary activations need not be balanced: fewer or more of +1 than of -1, by a constant shift of the threshold, raised
the accuracy of XNOR-Net and Bi-Real Net. Where a batch norm comes directly before, its bias can learn any threshold, so
a learned shift adds little; a constant one makes -shift the bias at the start, and what weight decay pulls it to.

Deployed: what the base method costs; the shift joins the comparison.

Checked: the statements of the paper's first page only, a reconstruction: neither its shifts nor its code are
published. The default shift, shifts per layer, learned ones and the window that stays are options of this library.

Reference: Kim, Park, Lee and Kim, "Improving Accuracy of Binary Neural Networks using Unbalanced Activation
Distribution", CVPR 2021.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from bitwright.core.binarizers import LevelPair, ScaledSign, Sign
from bitwright.core.estimators import approx_sign, ste, straight_through
from bitwright.core.method import Method
from bitwright.nn.shapes import per_input

Learned = Literal["layer", "channel"]
Window = Literal["moves", "stays"]


class ShiftedInput(nn.Module):
    """inner(x - shift): another input binarizer at another threshold.

    Shape:
        any, unchanged; shift is 0-d, or (C,) where it is learned for each channel.

    Args:
        inner: binarizer whose threshold is moved.
        shift: how far, in units of x; above 0 makes the high level rarer.
        shape: () or what `per_input` says, to have one shift a channel.
        learned: whether the shift is a parameter: dL/dshift = -sum(dL/dx).
        window: "moves": the slope is inner's at x - shift; "stays": inner's at x.
    """

    shift: Tensor

    def __init__(
        self,
        inner: nn.Module,
        shift: float,
        shape: tuple[int, ...] = (),
        learned: bool = False,
        window: Window = "moves",
    ) -> None:
        super().__init__()
        self.inner = inner
        self.shape = shape
        self.window = window
        value = torch.full(shape[:1], float(shift))
        if learned:
            self.shift = nn.Parameter(value)
        else:
            self.register_buffer("shift", value)

    def forward(self, x: Tensor) -> Tensor:
        """Binarize x."""
        shift = self.shift.view(self.shape)
        if self.window == "moves":
            return self.inner(x - shift)
        same = x - (shift - shift.detach())  # x itself, with the gradient of x - shift
        return straight_through(self.inner(x.detach() - shift.detach()), self.inner(same))

    def extra_repr(self) -> str:
        """What the window does."""
        return f"window {self.window}"


def shifted(
    base: Method | None = None,
    shift: float | Callable[[nn.Module], float] = 0.25,
    *,
    learned: Learned | None = None,
    window: Window = "moves",
) -> Method:
    """The base method with the threshold of its activations moved: the high level where x - shift >= 0.

    Weights, scales and rescaling are the base's; a factor such as XNOR-Net's K sees the unshifted input. For inputs
    from N(0, 1) the share of +1 is 1 - Phi(shift): 0.599 at -0.25, 0.401 at 0.25, 0.309 at 0.5, 0.159 at 1.

    Args:
        base: method whose activations are -1/+1 or 0/1; None takes Bi-Real Net's weights and activations.
        shift: of every layer, or a function from the layer (nn.Conv2d or nn.Linear) to its shift; where it starts, if
            it is learned. The paper's own values are not known: try -1 to 1 in steps of 0.25, both signs.
        learned: None keeps the shift constant, as the paper has it; "layer" learns one a layer, "channel" one for each
            channel of its input.
        window: whether the window in which gradients pass "moves" with the threshold or "stays" around 0.

    Raises:
        TypeError: the base is not a Method.
        ValueError: an option is unknown, or the base's activations are real or have learned levels of their own.

    Reference: Kim et al., CVPR 2021.
    """
    if learned not in (None, "layer", "channel"):
        raise ValueError(f"learned: expected None, 'layer' or 'channel', found {learned!r}")
    if window not in ("moves", "stays"):
        raise ValueError(f"window: expected 'moves' or 'stays', found {window!r}")
    if base is None:
        base = Method(
            weight=lambda layer: ScaledSign(ste, scale_gradient=False), activation=lambda layer: Sign(approx_sign)
        )
    elif not isinstance(base, Method):
        raise TypeError(f"base: expected a Method, such as bw.methods.xnor_net(), found {type(base).__name__}")
    make_inner = base.activation

    def activation(layer: nn.Module) -> ShiftedInput:
        inner = make_inner(layer)
        if isinstance(inner, nn.Identity | LevelPair):
            raise ValueError(f"base: expected activations -1/+1 or 0/1, found {type(inner).__name__}")
        shape = per_input(layer) if learned == "channel" else ()
        return ShiftedInput(inner, shift(layer) if callable(shift) else shift, shape, learned is not None, window)

    return replace(base, activation=activation)
