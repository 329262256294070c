"""NAS-BNN: weights standardised filter by filter, behind a learned map of each kernel.

What the networks that NAS-BNN finds are made of; `bitwright.nas` is the search. The k*k weights of a kernel are
multiplied by a matrix before they are binarized, one matrix a layer, so that binary weights may leave shared real ones.
RPReLU and the blocks belong to the network (`zoo.nas_bnn`).

Deployed: one bit a weight, one real scale a filter, which folds into the batch norm behind; the learned thresholds of
RSign join the comparison. Nothing is left of maps and standardising.

Checked: numbers of the authors' code, the shared layers of a supernet and a training step of it included. Ours adds
1e-12 to the variance, where theirs divides by zero for a filter of equal weights.

Reference: Lin et al., "NAS-BNN: Neural Architecture Search for Binary Neural Networks", preprint, 2024
(arXiv 2408.15484), and the authors' code.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bitwright.core.binarizers import ScaledSign
from bitwright.core.method import Method
from bitwright.core.standardise import along, standardise
from bitwright.methods.react_net import RSign
from bitwright.nn.shapes import per_input

EPSILON = 1e-12


class _Product(torch.autograd.Function):
    """v @ matrix.T in full precision both ways: rounded to half, other weights would be positive."""

    @staticmethod
    def forward(v: Tensor, matrix: Tensor) -> Tensor:
        with torch.autocast(v.device.type, enabled=False):
            return v @ matrix.T

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        v, matrix = ctx.saved_tensors
        with torch.autocast(v.device.type, enabled=False):
            return grads[0] @ matrix, grads[0].flatten(0, 1).T @ v.flatten(0, 1)


class KernelMap(nn.Module):
    """Each k x k kernel, its rows one after another a vector v, becomes matrix @ v; the matrix starts as the identity.

    Shape:
        w (out, in, k, k), unchanged; matrix (k*k, k*k).

    Args:
        kernel: k.
    """

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.eye(kernel * kernel))

    def forward(self, w: Tensor) -> Tensor:
        """Map the kernels of w."""
        return _Product.apply(w.flatten(2), self.matrix).view_as(w)  # type: ignore[no-any-return]


def standardise_filters(w: Tensor) -> Tensor:
    """(w - mean) / sqrt(variance + 1e-12) of each filter, the variance by n - 1. Shape: (out, ...), unchanged."""
    return standardise(w, max(1, w[0].numel() - 1), EPSILON)[0]


class StandardisedSign(nn.Module):
    """mean(abs(v)) * sign(v) with v = standardised(map(w)); the scale is a constant to the gradient, v's parts are not.

    The gradient of v is the scale times that of the result where abs(v) <= 1, else 0.

    Shape:
        w (out, ...), unchanged.

    Args:
        map: applied to w first, such as `KernelMap`; None leaves w as it is.
    """

    def __init__(self, map: nn.Module | None = None) -> None:
        super().__init__()
        self.map = map
        self.sign = ScaledSign()

    def forward(self, w: Tensor) -> Tensor:
        """Binarize w."""
        return self.sign(standardise_filters(w if self.map is None else self.map(w)))


def weight_loss(v: Tensor) -> Tensor:
    """How far binary weights are from the standardised ones, each filter divided by its mean square.

    mean((b / mean(b^2) - v / mean(v^2))^2) with b = mean(abs(v)) * sign(v), the inner means over each filter. The
    gradient goes through b, as `StandardisedSign` has it, and its mean; the other term is a constant.

    Shape:
        v (out, ...), the result is 0-d.

    Args:
        v: standardised, see `standardise_filters`.
    """
    binary, real = (w / w.square().mean(along(w), keepdim=True) for w in (ScaledSign()(v), v.detach()))
    return F.mse_loss(binary, real)


def nas_bnn(kernel_maps: bool = True) -> Method:
    """Weights `StandardisedSign`; activations `RSign`.

    Args:
        kernel_maps: whether layers with kernels larger than 1x1 learn a map. Without maps a network binarizes what a
            supernet has mapped already.

    Reference: Lin et al., 2024.
    """

    def weight(layer: nn.Module) -> nn.Module:
        kernel = layer.kernel_size if isinstance(layer, nn.Conv2d) else (1, 1)
        mapped = kernel_maps and kernel[0] == kernel[1] > 1
        return StandardisedSign(KernelMap(kernel[0]) if mapped else None)

    return Method(weight=weight, activation=lambda layer: RSign(per_input(layer)))
