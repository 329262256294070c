"""The precision-gated convolution: as training sees it, and as the operator `bitwright::gated_conv2d`.

An input of two planes, a = (2m + l) / 3, is convolved with its high plane m first. The low plane l is added only where
that sum exceeds a threshold: with o = (2/3) conv(m, w), y = o + [o > threshold] * (1/3) conv(l, w).

Reference: Zhang et al., "FracBNN: Accurate and FPGA-Efficient Binary Neural Networks with Fractional Activations",
FPGA 2021.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bitwright.core.custom_ops import codes_of
from bitwright.core.levels import Levels, read_levels
from bitwright.errors import LoweringError

STEEPNESS = 5.0  # of the sigmoid that the gate's gradient follows
Geometry = tuple[Any, Any, Any, int]  # stride, padding, dilation, groups

torch.library.define(
    "bitwright::gated_conv2d",
    "(Tensor x, Tensor weight, Tensor threshold, Tensor? bias, int[2] stride, int[2] padding, int[2] dilation, "
    "int groups, bool sparse=True) -> Tensor",
    tags=(torch.Tag.pt2_compliant_tag,),
)


def trained(
    x: Tensor, weight: Tensor, threshold: Tensor, bias: Tensor | None, geometry: Geometry, sparse: bool = True
) -> Tensor:
    """The gated convolution with gradients, in PyTorch's arithmetic.

    With s = sigmoid(5 (o - threshold)), the gate's gradient is 5 s (1 - s), where the gate is open or `sparse` is off,
    else 0. The high plane has the gradient of x.

    Shape:
        x (N, C, H, W), what `quantize` returned; weight (out, C/groups, kh, kw); threshold and bias (out,); y (N, out,
        H', W').

    Args:
        x: Digits over 3.
        weight: The binarized weight, or in a first step of training a real one.
        threshold: Of each output channel.
        bias: Added at the end.
        geometry: Stride, padding, dilation and groups.
        sparse: Whether gradients pass only gates that are open.
    """
    y: Tensor = _Gated.apply(x, weight, threshold, geometry, sparse)  # pyright: ignore[reportAssignmentType]
    return y if bias is None else y + bias.view(-1, 1, 1)


def deployed(
    x: Tensor,
    weight: Tensor,
    threshold: Tensor,
    bias: Tensor | None,
    geometry: Geometry,
    sparse: bool = True,
) -> Tensor:
    """The same in the arithmetic of the packed network, which sums integers; see `trained`.

    Raises:
        LoweringError: A filter's levels are not -a and +a.
    """
    return torch.ops.bitwright.gated_conv2d(x, weight, threshold, bias, *geometry, sparse)


def trained_gates(x: Tensor, weight: Tensor, threshold: Tensor, geometry: Geometry) -> Tensor:
    """Where the gates of `trained` are open: (N, out, H', W') bool."""
    return F.conv2d(_high_plane(x), weight, None, *geometry) * (2 / 3) - threshold.view(-1, 1, 1) > 0


def deployed_gates(x: Tensor, weight: Tensor, threshold: Tensor, geometry: Geometry) -> Tensor:
    """Where the gates of `deployed` are open: (N, out, H', W') bool.

    Raises:
        LoweringError: A filter's levels are not -a and +a.
    """
    levels = gated_levels(weight)
    high = _sums(_high_plane(x), levels, geometry)
    return is_open(high, levels.scale.view(-1, 1, 1), threshold.to(high.dtype).view(-1, 1, 1))


def is_open(high: Tensor, scale: Tensor, threshold: Tensor) -> Tensor:
    """Whether integer sums over the high plane open the gate: high * (2/3 scale) > threshold, in float32."""
    return high * (scale * (2 / 3)) > threshold


def gated_levels(weight: Tensor) -> Levels:
    """The levels of a gated layer's weight.

    Raises:
        LoweringError: A filter's levels are not -a and +a.
    """
    levels = read_levels(weight)
    if levels.kind != "symmetric":
        raise LoweringError("a gated convolution needs weights of two levels -a and +a in every filter.")
    return levels


class _Gated(torch.autograd.Function):
    """The gated convolution without a bias: two convolutions forward, and three backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, threshold: Tensor, geometry: Geometry, sparse: bool) -> Tensor:
        high = F.conv2d(_high_plane(x), weight, None, *geometry) * (2 / 3)
        both = F.conv2d(x, weight, None, *geometry)
        above = high - threshold.view(-1, 1, 1)
        ctx.save_for_backward(x, weight, above, both - high)
        ctx.geometry, ctx.sparse, ctx.dtype = geometry, sparse, threshold.dtype
        return torch.where(above > 0, both, high)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, above, low = ctx.saved_tensors
        stride, padding, dilation, groups = ctx.geometry
        need_x, need_weight, *_ = ctx.needs_input_grad
        s = torch.sigmoid(STEEPNESS * above)
        slope = STEEPNESS * s * (1 - s)
        if ctx.sparse:
            slope = slope * (above >= 0)
        to_gate = grads[0] * low * slope
        to_both = grads[0] * (above > 0)
        to_high = (grads[0] - to_both + to_gate).to(grads[0].dtype) * (2 / 3)

        def gradients(grad: Tensor, planes: Tensor, *need: bool) -> tuple[Tensor, Tensor, Tensor]:
            return torch.ops.aten.convolution_backward(
                grad, planes.to(grad.dtype), weight.to(grad.dtype), None, stride, padding, dilation, False, [0, 0],
                groups, [*need, False],
            )  # fmt: skip

        to_x = gradients(to_high + to_both, x, True, False)[0].to(x.dtype) if need_x else None
        to_weight = None
        if need_weight:
            by_high, by_both = gradients(to_high, _high_plane(x), False, True), gradients(to_both, x, False, True)
            to_weight = (by_high[1] + by_both[1]).to(weight.dtype)
        return to_x, to_weight, -to_gate.sum((0, 2, 3)).to(ctx.dtype), None, None


def _high_plane(x: Tensor) -> Tensor:
    return torch.where(x > 0, 1.0, -1.0).to(x.dtype)


def _sums(codes: Tensor, levels: Levels, geometry: Geometry) -> Tensor:
    """Sums of integers over the taps: exact in float32."""
    dtype = torch.promote_types(codes.dtype, torch.float32)
    ones = levels.bits.to(dtype).mul_(2).sub_(1)
    with torch.autocast(codes.device.type, enabled=False):
        acc = F.conv2d(codes.to(dtype), ones, None, *geometry)
    return acc if acc.device.type == "cpu" else acc.round_()


@torch.library.impl("bitwright::gated_conv2d", "CompositeExplicitAutograd")
def _gated_conv2d(
    x: Tensor,
    weight: Tensor,
    threshold: Tensor,
    bias: Tensor | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
    sparse: bool = True,
) -> Tensor:
    dtype = torch.promote_types(torch.promote_types(x.dtype, weight.dtype), torch.float32)
    geometry = (stride, padding, dilation, groups)
    levels = gated_levels(weight.to(dtype))
    digits = codes_of(x.to(dtype), digits=True)
    high, both = _sums(_high_plane(digits), levels, geometry), _sums(digits, levels, geometry)
    opened = is_open(high, levels.scale.view(-1, 1, 1), threshold.to(dtype).view(-1, 1, 1))
    y = torch.where(opened, both, 2 * high).mul_(levels.over(3).scale.view(-1, 1, 1))
    y = y if bias is None else y.add_(bias.to(dtype).view(-1, 1, 1))
    return y.to(torch.promote_types(x.dtype, weight.dtype))


@torch.library.register_fake("bitwright::gated_conv2d")
def _(x, weight, threshold, bias, stride, padding, dilation, groups, sparse=True):
    dtype = torch.promote_types(x.dtype, weight.dtype)
    with torch.autocast(x.device.type, enabled=False):
        return F.conv2d(x.to(dtype), weight.to(dtype), None, stride, padding, dilation, groups)


def _save(ctx: Any, inputs: Any, output: Tensor) -> None:
    *tensors, stride, padding, dilation, groups, ctx.sparse = inputs
    ctx.geometry = (stride, padding, dilation, groups)
    ctx.save_for_backward(*tensors)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    """The gradients of `trained`."""
    needed = ctx.needs_input_grad[:4]
    saved: list[Any] = [
        None if t is None else t.detach().requires_grad_(n) for t, n in zip(ctx.saved_tensors, needed, strict=True)
    ]
    x, weight, threshold, bias = saved
    with torch.enable_grad():
        y = trained(x, weight, threshold, bias, ctx.geometry, ctx.sparse)
    wanted: list[Tensor] = [t for t in saved if t is not None and t.requires_grad]
    found = iter(torch.autograd.grad(y, wanted, grad.to(y.dtype)))
    return (*(next(found) if n else None for n in needed), *[None] * 5)


torch.library.register_autograd("bitwright::gated_conv2d", _backward, setup_context=_save)
