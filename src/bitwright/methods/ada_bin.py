"""AdaBin: two learned levels for the activations of each layer, and two that fit the weights of each filter.

Its networks put `nn.activations.Maxout` in the place of other non-linearities.

Deployed: one bit a weight, two real levels a filter, and one sum of the input's codes for each pixel, shared by all
filters; the levels of the activations become one factor and a constant for each output pixel.

Checked: numbers of the authors' code, and their own ResNet-20, see `bw import`; form="paper" against the paper's
formula only.

Reference: Tu et al., "AdaBin: Improving Binary Neural Networks with Adaptive Binary Sets", ECCV 2022.
"""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from bitwright.core.binarizers import ErrorDecay, LevelPair
from bitwright.core.custom_ops import sign
from bitwright.core.estimators import approx_sign, triangle
from bitwright.core.method import Method
from bitwright.core.standardise import standardise

Form = Literal["code", "paper"]


class FittedLevels(nn.Module):
    """alpha * sign((w - beta) / alpha) + beta, beta = mean(w) and alpha = sqrt(mean((w - beta)^2)) per filter.

    The gradient is that of EDE, and goes through alpha and beta too.

    Shape:
        w (out, ...), unchanged; the weights of a filter are not all equal.

    Args:
        start: t of EDE where training begins.
        end: t where it ends.

    Reference: Tu et al., ECCV 2022.
    """

    def __init__(self, start: float, end: float) -> None:
        super().__init__()
        self.sign = ErrorDecay(start, end)

    def forward(self, w: Tensor) -> Tensor:
        """Binarize w."""
        v, alpha, beta = standardise(w, w[0].numel())
        return torch.addcmul(beta, alpha, self.sign(v))


class _Levels(torch.autograd.Function):
    """alpha * (s + shift) with s = sign(u) and u = (x - beta) / alpha; and u, which has no gradient.

    The shift is beta, or, in the paper's form, beta / alpha.
    """

    @staticmethod
    def forward(x: Tensor, alpha: Tensor, beta: Tensor, paper: bool) -> tuple[Tensor, Tensor]:
        u = (x - beta).div_(alpha)
        return sign(u).add_(beta / alpha if paper else beta).mul_(alpha), u

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        _, alpha, beta, ctx.paper = inputs
        ctx.save_for_backward(alpha, beta, *output)
        ctx.mark_non_differentiable(output[1])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        alpha, beta, y, u = ctx.saved_tensors
        g, total = grads[0], grads[0].sum()
        to_x = triangle(u).mul_(g)  # the factor alpha of the result and 1/alpha of u cancel
        along_levels = (g * y).sum() - (beta * total if ctx.paper else 0)
        to_beta = (total if ctx.paper else alpha * total) - to_x.sum()
        return to_x, along_levels / alpha - (to_x * u).sum(), to_beta, None


class LearnedLevels(LevelPair):
    """alpha * (s + beta) with s = sign((x - beta) / alpha), alpha and beta learned, at first 1 and 0: one pair a layer.

    The slope of the sign is max(0, 2 - 2*abs(.)).

    Shape:
        any, unchanged.

    Args:
        form: "code" as above, "paper" alpha * s + beta.

    Reference: Tu et al., ECCV 2022.
    """

    def __init__(self, form: Form = "code") -> None:
        super().__init__()
        self.form = form
        self.alpha = nn.Parameter(torch.tensor(1.0))
        self.beta = nn.Parameter(torch.tensor(0.0))

    @property
    def scale(self) -> Tensor:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Half the distance of the levels."""
        return self.alpha

    @property
    def shift(self) -> Tensor:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The middle of the levels, over `scale`."""
        return self.beta if self.form == "code" else self.beta / self.alpha

    def forward(self, x: Tensor) -> Tensor:
        """Binarize x."""
        if not self.training:
            return super().forward(x)
        return _Levels.apply(x, self.alpha, self.beta, self.form == "paper")[0]  # type: ignore[no-any-return]

    def codes(self, x: Tensor) -> Tensor:
        """sign((x - beta) / alpha)."""
        return approx_sign((x - self.beta) / self.alpha)

    def extra_repr(self) -> str:
        """Which form."""
        return f"form={self.form!r}"


def ada_bin(form: Form = "code", start: float = 1e-3, end: float = 10.0) -> Method:
    """Weights alpha * sign((w - beta) / alpha) + beta, per filter; activations alpha * (s + beta), per layer.

    In the activations s = sign((x - beta) / alpha), where alpha and beta are learned.

    Args:
        form: of the activations: "code" as published, "paper" alpha * s + beta.
        start: sharpness t of the weights' EDE as training starts; 0.1 is the other published choice.
        end: the same as it ends.

    Reference: Tu et al., ECCV 2022.
    """
    if form not in ("code", "paper"):
        raise ValueError(f"form: expected 'code' or 'paper', found {form!r}")
    return Method(weight=lambda layer: FittedLevels(start, end), activation=lambda layer: LearnedLevels(form))
