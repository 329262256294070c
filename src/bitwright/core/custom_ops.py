"""The operators that `torch.export` sees: signs, steps and levels of activations, the thermometer, and the two layers.

The two layers compute what the packed file computes: the integers of the binarizers' codes are summed exactly, and
levels and bias follow in float32, one rounding an operation. A network in `eval()` mode therefore equals its export up
to the end of every binary layer, bit for bit. Gradients are those of the ordinary convolution and linear layer.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from bitwright.core.levels import read_levels

_SCHEMAS = {
    "sign": "(Tensor x) -> Tensor",
    "step": "(Tensor x) -> Tensor",
    "quantize": "(Tensor x) -> Tensor",
    "round_to_levels": "(Tensor x, int bits) -> Tensor",
    "thermometer": "(Tensor x, int resolution) -> Tensor",
    "binary_conv2d": "(Tensor x, Tensor weight, Tensor? bias, int[2] stride, int[2] padding, int[2] dilation, "
    "int groups, bool digits=False) -> Tensor",
    "binary_linear": "(Tensor x, Tensor weight, Tensor? bias, bool digits=False) -> Tensor",
}
# The least x of the codes 1, 2 and 3 of `quantize`: those of round((x + 1) / (2 / 3)) in float32, but for the second.
# There the sum swallows negative numbers down to -3e-8, whose sign is to remain -1.
QUANTIZE_AT = (-0.6666666269302368, 0.0, 0.6666668653488159)
for _name, _schema in _SCHEMAS.items():
    torch.library.define(f"bitwright::{_name}", _schema, tags=(torch.Tag.pt2_compliant_tag,))


@torch.library.impl("bitwright::sign", "CompositeExplicitAutograd")
def _sign(x: Tensor) -> Tensor:
    return torch.ge(x, 0, out=torch.empty_like(x)).mul_(2).sub_(1)


@torch.library.impl("bitwright::step", "CompositeExplicitAutograd")
def _step(x: Tensor) -> Tensor:
    return torch.ge(x, 0, out=torch.empty_like(x))


@torch.library.impl("bitwright::quantize", "CompositeExplicitAutograd")
def _quantize(x: Tensor) -> Tensor:
    first, second, third = (torch.ge(x, at, out=torch.empty_like(x)) for at in QUANTIZE_AT)
    return first.add_(second).add_(third).mul_(2).sub_(3).div_(3)


@torch.library.impl("bitwright::round_to_levels", "CompositeExplicitAutograd")
def _round_to_levels(x: Tensor, bits: int) -> Tensor:
    step, inverse = level_step(bits)
    return x.clamp(-1, 1).add_(1).mul_(inverse).round_().mul_(step).sub_(1)


@torch.library.impl("bitwright::thermometer", "CompositeExplicitAutograd")
def _thermometer(x: Tensor, resolution: int) -> Tensor:
    grey = x * 255
    nearest = grey.round()
    level = torch.where((grey - nearest).abs() < 1e-3, nearest, grey).div_(resolution).round_()
    steps = torch.arange(round(255 / resolution), dtype=x.dtype, device=x.device).view(-1, 1, 1)
    return (steps < level.unsqueeze(2)).to(x.dtype).mul_(2).sub_(1).flatten(1, 2)


@torch.library.register_fake("bitwright::thermometer")
def _(x: Tensor, resolution: int) -> Tensor:
    return x.new_empty(x.shape[0], x.shape[1] * round(255 / resolution), *x.shape[2:])


torch.library.register_fake("bitwright::sign", torch.empty_like)
torch.library.register_fake("bitwright::step", torch.empty_like)
torch.library.register_fake("bitwright::quantize", torch.empty_like)


@torch.library.register_fake("bitwright::round_to_levels")
def _(x: Tensor, bits: int) -> Tensor:
    return torch.empty_like(x)


def sign(x: Tensor) -> Tensor:
    """+1 where x >= 0, else -1 (of NaN too), in x's dtype; without a gradient: see `estimators.sign`."""
    return torch.ops.bitwright.sign(x)


def step(x: Tensor) -> Tensor:
    """1 where x >= 0, else 0 (of NaN too), in x's dtype; without a gradient: see `estimators.step`."""
    return torch.ops.bitwright.step(x)


def quantize(x: Tensor) -> Tensor:
    """Round to -1, -1/3, +1/3 or +1, the digits -3, -1, +1, +3 over 3, in x's dtype; without a gradient.

    y = (2q - 3) / 3, where q is the number of `QUANTIZE_AT` that x reaches; 0 goes to +1/3, 2/3 to +1/3, -2/3 to -1.
    """
    return torch.ops.bitwright.quantize(x)


def round_to_levels(x: Tensor, bits: int) -> Tensor:
    """Round to 2^bits levels, evenly spaced over [-1, 1], in x's dtype; without a gradient: see `nn.quantize`."""
    return torch.ops.bitwright.round_to_levels(x, bits)


def level_step(bits: int) -> tuple[float, float]:
    """The distance 2 / (2^bits - 1) of neighbouring levels and its inverse, each rounded to float32.

    Multiplying by this inverse rounds as dividing by the distance does, but for single numbers next to ties.
    """
    step = torch.tensor(2 / (2**bits - 1), dtype=torch.float32).item()
    return step, torch.tensor(1 / step, dtype=torch.float32).item()


def thermometer(x: Tensor, resolution: int) -> Tensor:
    """The levels of pixels as signs, without a gradient: see `nn.thermometer`.

    Shape:
        x (N, C, H, W) from 0 to 1; y (N, C * round(255 / resolution), H, W), in x's dtype.
    """
    return torch.ops.bitwright.thermometer(x, resolution)


def binary_conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    digits: bool = False,
) -> Tensor:
    """Convolution of a binarized input with a binarized weight, in the arithmetic of the packed network.

    Shape:
        x (N, C, H, W) of codes -1/+1 or 0/1, or if `digits` what `quantize` returns; weight (out, C/groups, kh, kw) of
        two levels a filter; y (N, out, H', W').

    Raises:
        LoweringError: a filter holds more than two values, or one that is not finite.
    """
    if x.dim() == 3:  # one sample without a batch axis, as nn.Conv2d allows
        return binary_conv2d(x[None], weight, bias, stride, padding, dilation, groups, digits)[0]
    return torch.ops.bitwright.binary_conv2d(x, weight, bias, stride, padding, dilation, groups, digits)


def binary_linear(x: Tensor, weight: Tensor, bias: Tensor | None, digits: bool = False) -> Tensor:
    """Linear layer of a binarized input with a binarized weight, in the arithmetic of the packed network.

    Shape:
        x (..., in) of codes -1/+1 or 0/1, or if `digits` what `quantize` returns; weight (out, in) of two levels a row;
        y (..., out).

    Raises:
        LoweringError: a row holds more than two values, or one that is not finite.
    """
    return torch.ops.bitwright.binary_linear(x, weight, bias, digits)


def _sum_dtype(x: Tensor, weight: Tensor) -> torch.dtype:
    """Where integers below 2^24 are exact: halves are widened for the sum."""
    return torch.promote_types(torch.promote_types(x.dtype, weight.dtype), torch.float32)


def codes_of(x: Tensor, digits: bool) -> Tensor:
    """The integers that a binarized input stands for: x itself, or the digits of what `quantize` returned."""
    return x.mul(3).round_() if digits else x


def _exact(acc: Tensor) -> Tensor:
    """The integers themselves, also where an accelerator's transformed convolution left rounding errors."""
    return acc if acc.device.type == "cpu" else acc.round_()


def _deployed(
    x: Tensor, weight: Tensor, bias: Tensor | None, digits: bool, total: Callable[[Tensor, Tensor], Tensor],
    window_sums: Callable[[Tensor], Tensor], channel: Callable[[Tensor], Tensor],
) -> Tensor:  # fmt: skip
    """Sum of codes, then levels and bias: `total(x, codes)` and `window_sums(x)` are the layer's two integer sums."""
    dtype = _sum_dtype(x, weight)
    x = codes_of(x.to(dtype), digits)
    levels = read_levels(weight.to(dtype)).over(3 if digits else 1)
    ones = levels.bits.to(dtype)
    with torch.autocast(x.device.type, enabled=False):  # sums in half precision would round
        if levels.kind == "symmetric":
            y = _exact(total(x, ones.mul_(2).sub_(1))).mul_(channel(levels.scale))
        else:
            y = _exact(total(x, ones)).mul_(channel(levels.step))
            if levels.kind == "general":
                y.add_(_exact(window_sums(x)).mul(channel(levels.low)))
    return y if bias is None else y.add_(channel(bias.to(dtype)))


@torch.library.impl("bitwright::binary_conv2d", "CompositeExplicitAutograd")
def _binary_conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
    digits: bool = False,
) -> Tensor:
    out, taps = weight.shape[0], weight.shape[2:]

    def total(x: Tensor, codes: Tensor) -> Tensor:
        return F.conv2d(x, codes, None, stride, padding, dilation, groups)

    def window_sums(x: Tensor) -> Tensor:
        per_group = x.unflatten(1, (groups, -1)).sum(2)  # (N, groups, H, W)
        sums = F.conv2d(per_group, x.new_ones(groups, 1, *taps), None, stride, padding, dilation, groups)
        return sums if groups == 1 else sums.repeat_interleave(out // groups, dim=1)

    y = _deployed(x, weight, bias, digits, total, window_sums, lambda v: v.view(-1, 1, 1))
    return y.to(torch.promote_types(x.dtype, weight.dtype))


@torch.library.impl("bitwright::binary_linear", "CompositeExplicitAutograd")
def _binary_linear(x: Tensor, weight: Tensor, bias: Tensor | None, digits: bool = False) -> Tensor:
    y = _deployed(x, weight, bias, digits, F.linear, lambda x: x.sum(-1, keepdim=True), lambda v: v)
    return y.to(torch.promote_types(x.dtype, weight.dtype))


@torch.library.register_fake("bitwright::binary_conv2d")
def _(x, weight, bias, stride, padding, dilation, groups, digits=False):
    dtype = torch.promote_types(x.dtype, weight.dtype)
    with torch.autocast(x.device.type, enabled=False):
        return F.conv2d(x.to(dtype), weight.to(dtype), None, stride, padding, dilation, groups)


@torch.library.register_fake("bitwright::binary_linear")
def _(x, weight, bias, digits=False):
    return x.new_empty((*x.shape[:-1], weight.shape[0]), dtype=torch.promote_types(x.dtype, weight.dtype))


def _save(ctx, inputs, output) -> None:
    x, weight, bias, *ctx.geometry = inputs
    ctx.save_for_backward(x, weight)
    ctx.bias_dtype = None if bias is None else bias.dtype


def _conv_backward(ctx, grad: Tensor):
    x, weight = ctx.saved_tensors
    stride, padding, dilation, groups, _ = ctx.geometry
    need = list(ctx.needs_input_grad[:3])
    grad_x, grad_weight, grad_bias = torch.ops.aten.convolution_backward(
        grad,
        x.to(grad.dtype),
        weight.to(grad.dtype),
        [weight.shape[0]],
        stride,
        padding,
        dilation,
        False,
        [0, 0],
        groups,
        need,
    )
    return (
        grad_x.to(x.dtype) if need[0] else None,
        grad_weight.to(weight.dtype) if need[1] else None,
        grad_bias.to(ctx.bias_dtype) if need[2] else None,
        *[None] * 5,
    )


def _linear_backward(ctx, grad: Tensor):
    x, weight = ctx.saved_tensors
    need_x, need_weight, need_bias = ctx.needs_input_grad[:3]
    rows = grad.reshape(-1, grad.shape[-1])
    return (
        (grad @ weight.to(grad.dtype)).to(x.dtype) if need_x else None,
        (rows.T @ x.to(grad.dtype).reshape(-1, x.shape[-1])).to(weight.dtype) if need_weight else None,
        rows.sum(0).to(ctx.bias_dtype) if need_bias else None,
        None,
    )


torch.library.register_autograd("bitwright::binary_conv2d", _conv_backward, setup_context=_save)
torch.library.register_autograd("bitwright::binary_linear", _linear_backward, setup_context=_save)
