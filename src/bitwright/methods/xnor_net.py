"""XNOR-Net: each filter is its sign times one scale factor, the best in the least-squares sense.

The published code has no factor K for the input: `input_scale` adds it. BWN of the same paper, binary weights under
real activations, is `real_input`.

Deployed: one bit a weight, one real scale a filter, which folds into the batch norm behind; with `input_scale` also the
mean magnitude of each window in real numbers, with `real_input` 32-bit weights.

Checked: numbers of a published re-implementation in PyTorch; K against the paper's definition only.

Reference: Rastegari et al., "XNOR-Net: ImageNet Classification Using Binary Convolutional Neural Networks", ECCV 2016.
"""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from bitwright.core.binarizers import Sign
from bitwright.core.custom_ops import sign
from bitwright.core.estimators import ste_open
from bitwright.core.hooks import Stepped
from bitwright.core.method import Method
from bitwright.nn.rescale import InputScale


def centre_and_clamp(w: Tensor) -> Tensor:
    """Subtract the mean over the input channels, for each filter and kernel position, and clamp to [-1, 1].

    A filter of one input channel is not centred: nothing would remain.

    Shape:
        w (out, in, ...), unchanged.
    """
    return (w - w.mean(1, keepdim=True) if w.shape[1] > 1 else w).clamp(-1, 1)


def corrected_gradient(w: Tensor, grad: Tensor) -> Tensor:
    """Gradient of a loss at w from that at alpha*sign(w), by the product rule: alpha is a function of w too.

    dL/dw_i = sign(w_i)/n * sum_j(g_j * sign(w_j)) + alpha * 1[abs(w_i) <= 1] * g_i

    Shape:
        w, grad and the result (out, ...); n and alpha = mean(abs(w)) belong to a filter.
    """
    dims = tuple(range(1, w.dim()))
    s, magnitude = sign(w), w.abs()
    alpha = magnitude.mean(dims, keepdim=True)
    through_scale = s.mul_((grad * s).mean(dims, keepdim=True))
    return magnitude.le_(1).mul_(grad).mul_(alpha).add_(through_scale)


def paper_gradient(w: Tensor, grad: Tensor) -> Tensor:
    """The gradient as printed: dL/dw_i = g_i * (1/n + alpha * 1[abs(w_i) < 1]). See `corrected_gradient`."""
    alpha = w.abs().mean(tuple(range(1, w.dim())), keepdim=True)
    return grad * (1 / w[0].numel() + alpha * (w.abs() < 1))


class _ScaledSign(torch.autograd.Function):
    """alpha * sign(w), with one of the gradients above."""

    @staticmethod
    def forward(w: Tensor, published: bool) -> Tensor:
        return w.abs().mean(tuple(range(1, w.dim())), keepdim=True) * sign(w)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        w, ctx.published = inputs
        ctx.save_for_backward(w)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (w,) = ctx.saved_tensors
        if not ctx.published:
            return paper_gradient(w, grads[0]), None
        # The published code multiplies by (1 - 1/in) * n; one input channel would get no gradient at all.
        factor = (1 - 1 / w.shape[1] or 1.0) * w[0].numel()
        return corrected_gradient(w, grads[0]).mul_(factor), None


class _Centred(torch.autograd.Function):
    """`centre_and_clamp` with the identity as gradient: the latent weight takes the step meant for the centred one."""

    @staticmethod
    def forward(w: Tensor) -> Tensor:
        return centre_and_clamp(w)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0]


class XnorWeight(nn.Module, Stepped):
    """alpha * sign(w) of the centred and clamped weight, alpha = mean(abs(w)) per filter.

    The published code overwrites the latent weight with the centred one before each forward pass; here `after_step`
    does.

    Shape:
        w (out, in, ...), unchanged.
    """

    def __init__(self, published: bool = True) -> None:
        super().__init__()
        self.published = published

    def forward(self, w: Tensor) -> Tensor:
        """Binarize w."""
        return _ScaledSign.apply(_Centred.apply(w), self.published)  # type: ignore[no-any-return]

    def after_step(self, weight: Tensor) -> None:
        """Centre and clamp the latent weight."""
        weight.copy_(centre_and_clamp(weight))


def xnor_net(
    gradient: Literal["code", "paper"] = "code", input_scale: bool = False, real_input: bool = False
) -> Method:
    """Weights alpha * sign(w) of centred w; activations sign with slope 1 where -1 < x < 1.

    Args:
        gradient: of the weights: "code" is `corrected_gradient` with the published factor, "paper" is `paper_gradient`.
        input_scale: multiply the output by the paper's K too, see `InputScale`.
        real_input: keep activations real: the paper's other network, BWN.

    Reference: Rastegari et al., ECCV 2016, sections 3.1 and 3.2.
    """
    if gradient not in ("code", "paper"):
        raise ValueError(f"gradient: expected 'code' or 'paper', found {gradient!r}")
    if input_scale and real_input:
        raise ValueError("input_scale: a real input has no scale to restore; leave out input_scale or real_input")
    return Method(
        weight=lambda layer: XnorWeight(gradient == "code"),
        activation=lambda layer: nn.Identity() if real_input else Sign(ste_open),
        rescale=InputScale if input_scale else None,
    )
