"""RBONN: learned scale factors, and a recurrent term that moves the weights of the filters whose scale is small.

Scale and weight of a filter are coupled: only their product counts. RBONN trains both, ties the product to the weight
by a reconstruction term, and lets the weights of filters that lag behind take an extra step of learned length.

Deployed: one bit a weight, one real scale a filter, which folds into the batch norm behind; the recurrent term is gone.

Checked: numbers of the authors' code. It chooses filters by the sorting permutation where the paper ranks them, for
which there is `code_compat`. The paper adds a share of the weight where the code, and this file, subtracts one of the
last gradient; and it ranks the norms of the weights too.

Reference: Xu et al., "Recurrent Bilinear Optimization for Binary Neural Networks", ECCV 2022.
"""

from typing import Any

import torch
from torch import Tensor, nn

from bitwright.core.binarizers import Sign
from bitwright.core.custom_ops import sign
from bitwright.core.estimators import approx_sign
from bitwright.core.hooks import Stepped
from bitwright.core.method import Method


class _Bilinear(torch.autograd.Function):
    """c * s * sign(w) with the published gradients; `ReconstructedWeight` gives them."""

    @staticmethod
    def forward(w: Tensor, s: Tensor, c: float, weight: float) -> Tensor:
        return c * s * sign(w)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        w, s, ctx.c, ctx.weight = inputs
        ctx.save_for_backward(w, s, output)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None]:
        w, s, binary = ctx.saved_tensors
        (g,) = grads
        error = (w - binary).mul_(ctx.weight)
        to_s = (g * w).addcmul_(error, sign(w), value=-ctx.c).sum_to_size(s.shape)
        return error.addcmul_(g, s.expand_as(g)), to_s, None, None


def sparse_filters(s: Tensor, share: float, code_compat: bool = False) -> Tensor:
    """1 for the int(n * (1 - share)) filters of the smallest scale, else 0.

    Shape:
        s and the result (n,).

    Args:
        s: scales.
        share: of filters left alone, 0 to 1.
        code_compat: compare the sorting permutation in place of the ranks, as published: the i-th entry is then 1 if
            the index of the i-th smallest scale is below int(n * (1 - share)). As many filters, but others.
    """
    order = s.detach().argsort(stable=True)
    return ((order if code_compat else order.argsort()) < int(len(s) * (1 - share))).to(s.dtype)


class ReconstructedWeight(nn.Module, Stepped):
    """c * s * sign(v) with s = abs(scale) and v = w - u * sparse(s) * last; v = w in eval mode.

    `last` is the gradient of w at the step before, kept by `after_step`, and 0 at first. With g the gradient of the
    result and r = v - c*s*sign(v), over each filter: dL/dw = g*s + tie*r, dL/ds = sum(g*v - tie*r*c*sign(v)) and
    dL/du = -sum(dL/dw * sparse(s) * last), as published, without a window and without c in the first terms.

    Shape:
        w (out, ...), unchanged; scale and u (out,).

    Args:
        w: the latent weight, for its shape.
        c: constant factor.
        tie: weight of the reconstruction term, tie/2 * sum(r^2), which is in the gradients only.
        share: of filters without the recurrent term; see `sparse_filters`.
        step: start of u.
        code_compat: see `sparse_filters`.
    """

    last: Tensor

    def __init__(
        self,
        w: Tensor,
        c: float = 0.02,
        tie: float = 1e-4,
        share: float = 0.6,
        step: float = 0.2,
        code_compat: bool = False,
    ) -> None:
        super().__init__()
        self.c = c
        self.tie = tie
        self.share = share
        self.code_compat = code_compat
        self.scale = nn.Parameter(torch.randn(len(w)))
        self.u = nn.Parameter(torch.full((len(w),), step))
        self.register_buffer("last", torch.zeros_like(w, requires_grad=False))

    def forward(self, w: Tensor) -> Tensor:
        """Binarize w."""
        per_filter = (-1, *[1] * (w.dim() - 1))
        s = self.scale.abs()
        if self.training:
            lagging = sparse_filters(s, self.share, self.code_compat)
            w = w - (self.u * lagging).view(per_filter) * self.last
        return _Bilinear.apply(w, s.view(per_filter), self.c, self.tie)  # type: ignore[no-any-return]

    def after_step(self, weight: Tensor) -> None:
        """Keep the gradient of the step for the next one.

        Not in the backward pass: there it could be a part of what is accumulated, or scaled for half precision.
        """
        if weight.grad is None:
            self.last.zero_()
        else:
            self.last.copy_(weight.grad)

    def extra_repr(self) -> str:
        """The constants."""
        return f"c={self.c:g}, tie={self.tie:g}, share={self.share:g}"


def rbonn(
    c: float = 0.02, tie: float = 1e-4, share: float = 0.6, step: float = 0.2, *, code_compat: bool = False
) -> Method:
    """Weights c * scale * sign(w) with a learned scale and a recurrent term; activations as in Bi-Real Net.

    The recurrent term needs `bw.after_step` after each step, before gradients are cleared. Scales and `u` are new
    Parameters: make the optimizer after `binarize`. Published training starts from a network whose activations only
    are binary, learns from a teacher's outputs alone, and gives `u` a tenth of the learning rate.

    Args:
        c: factor of the binarized weight, more than 0; published without an explanation.
        tie: weight of the reconstruction term, called lambda in the paper.
        share: of filters, by scale, that go without the recurrent term, 0 to 1; called tau in the paper.
        step: start of the recurrent term's learned factor `u`.
        code_compat: choose the filters as the published code does; see `sparse_filters`.

    Raises:
        ValueError: an argument lies outside its range.

    Reference: Xu et al., ECCV 2022, and the authors' code.
    """
    if not c > 0:
        raise ValueError(f"c: expected more than 0, found {c}")
    if not tie >= 0:
        raise ValueError(f"tie: expected 0 or more, found {tie}")
    if not 0 <= share <= 1:
        raise ValueError(f"share: expected a share from 0 to 1, found {share}")
    return Method(
        weight=lambda layer: ReconstructedWeight(layer.get_parameter("weight"), c, tie, share, step, code_compat),
        activation=lambda layer: Sign(approx_sign),
    )
