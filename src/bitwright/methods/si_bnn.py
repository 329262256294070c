"""Si-BNN: activations 0 and 1 at a learned threshold, and a learned window for their gradient.

A 1-bit ReLU rather than a sign: about half of the activations are 0, and more where the threshold rises. Threshold and
scale are learned for each channel; the scale has no part in the forward pass, it only widens or narrows the window
that lets gradients through.

Deployed: one bit a weight, one real scale a filter, which folds into the batch norm behind; one threshold a channel,
which joins the comparison. Zero padding is an ordinary 0, and words of zeros cost nothing to skip.

Checked: numbers of the authors' code, in which the upper level of the activations is 1; the factor alpha that the
authors' slides draw there is absorbed by the batch norm behind. The code gives 1/2 at the very threshold, here it is 1.

Reference: Wang et al., "Sparsity-Inducing Binarized Neural Networks", AAAI 2020; Wang, He and Cheng, "Toward Accurate
Binarized Neural Networks With Sparsity for Mobile Application", TNNLS 2022.
"""

from typing import Any

import torch
from torch import Tensor, nn

from bitwright.core.custom_ops import sign, step
from bitwright.core.hooks import Stepped
from bitwright.core.method import Method
from bitwright.nn.shapes import per_input


class _Window(torch.autograd.Function):
    """step(u) with slope 1[-rho < u < 1], u = (x - threshold) * scale."""

    @staticmethod
    def forward(x: Tensor, threshold: Tensor, scale: Tensor, rho: float) -> Tensor:
        return step((x - threshold) * scale)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        *tensors, ctx.rho = inputs
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, threshold, scale = ctx.saved_tensors
        centred = x - threshold
        u = centred * scale
        inside = torch.ops.aten.hardtanh_backward(
            grads[0], u, -ctx.rho, 1
        )  # one pass, where masks take five times as long
        to_x = inside * scale
        to_scale = centred.mul_(inside).sum_to_size(scale.shape)
        return to_x, -to_x.sum_to_size(threshold.shape), to_scale, None


class WindowedStep(nn.Module):
    """1 where u >= 0, else 0, with u = (x - threshold) * scale and slope 1 where -rho < u < 1.

    In terms of x the gradient passes for threshold - rho/scale < x < threshold + 1/scale: rho < 1 lets more of it
    through where the activation is 1. A scale that turns negative, which nothing prevents, exchanges 0 and 1.

    Shape:
        x (..., C, H, W) before a convolution, (..., F) before a linear layer, unchanged.

    Args:
        layer: whose input it binarizes.
        threshold: start of the learned threshold.
        scale: start of the learned scale, the window's inverse width.
        rho: share of the window below the threshold, 0 to 1.
        per_channel: learn threshold and scale for each channel, or one pair for the layer.
    """

    def __init__(
        self, layer: nn.Module, threshold: float = 0.0, scale: float = 1.0, rho: float = 0.3, per_channel: bool = True
    ) -> None:
        super().__init__()
        self.shape = per_input(layer) if per_channel else ()
        self.rho = rho
        self.threshold = nn.Parameter(torch.full(self.shape[:1], threshold))
        self.scale = nn.Parameter(torch.full(self.shape[:1], scale))

    def forward(self, x: Tensor) -> Tensor:
        """Binarize x."""
        pair = self.threshold.view(self.shape), self.scale.view(self.shape)
        return _Window.apply(x, *pair, self.rho)  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        """The window's asymmetry."""
        return f"rho={self.rho:g}"


def rewritten_gradient(w: Tensor, grad: Tensor) -> Tensor:
    """Gradient of a loss at w from that at alpha*sign(w), as published; the product rule has alpha for 1 - 1/n.

    dL/dw_i = (1 - 1/n) * g_i + sign(w_i)/n * sum_j(g_j * sign(w_j))

    Shape:
        w, grad and the result (out, ...); n counts the weights of a filter.
    """
    s = sign(w)
    return (1 - 1 / w[0].numel()) * grad + s * (grad * s).mean(tuple(range(1, w.dim())), keepdim=True)


class _ScaledSign(torch.autograd.Function):
    """alpha * sign(w) of the clamped w, alpha = mean(abs(w)), with the gradient above."""

    @staticmethod
    def forward(w: Tensor) -> Tensor:
        return w.clamp(-1, 1).abs().mean(tuple(range(1, w.dim())), keepdim=True) * sign(w)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (w,) = ctx.saved_tensors
        return rewritten_gradient(w, grads[0])


class ClampedWeight(nn.Module, Stepped):
    """alpha * sign(w) of the weight clamped to [-1, 1], alpha = mean(abs(w)) per filter, with `rewritten_gradient`.

    The published code clamps the latent weight before each forward pass; here `after_step` does.

    Shape:
        w (out, ...), unchanged.
    """

    def forward(self, w: Tensor) -> Tensor:
        """Binarize w."""
        return _ScaledSign.apply(w)  # type: ignore[no-any-return]

    def after_step(self, weight: Tensor) -> None:
        """Clamp the latent weight."""
        weight.clamp_(-1, 1)


def si_bnn(threshold: float = 0.0, scale: float = 1.0, rho: float = 0.3, *, per_channel: bool = True) -> Method:
    """Weights mean(abs(w)) * sign(w) per filter; activations 0 and 1 with a learned threshold and window.

    Thresholds and scales are new Parameters, trained like the others but published without weight decay. The published
    training draws the weights from a normal distribution of standard deviation 1/n.

    Args:
        threshold: start of the thresholds. 0 as published; comments of the code mention 0.4.
        scale: start of the scales, more than 0. 1 as published; comments of the code mention 2.
        rho: how far the window reaches below the threshold, as a share of how far above, 0 to 1.
        per_channel: one threshold and scale a channel, as published, or one a layer.

    Raises:
        ValueError: an argument lies outside its range.

    Reference: Wang et al., AAAI 2020, figure 1, and the authors' code.
    """
    if not 0 <= rho <= 1:
        raise ValueError(f"rho: expected a share from 0 to 1, found {rho}")
    if not scale > 0:
        raise ValueError(f"scale: expected more than 0, found {scale}")
    return Method(
        weight=lambda layer: ClampedWeight(),
        activation=lambda layer: WindowedStep(layer, threshold, scale, rho, per_channel),
    )
