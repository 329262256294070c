"""Levels: a binarized weight read off as `low + step * bit`, and the check of the laws that make this possible."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from bitwright.errors import LoweringError

Kind = Literal["symmetric", "zero_one", "general"]


@dataclass(frozen=True, eq=False)
class Levels:
    """Two levels for each output channel, and a bit for each weight: value = low + step * bit.

    Three kinds differ in the arithmetic they allow. `symmetric`: low = -scale and step = 2*scale, bit 1 marks the
    positive level. `zero_one`: low = 0. `general`: any two; bit 1 marks the level that fewer weights of the layer hold,
    so that step may be negative.

    Args:
        kind: see above, one for the layer.
        low: value of bit 0.
        step: value of bit 1 less that of bit 0.
        bits: which of the two a weight holds.

    Shape:
        low and step (out,); bits (out, ...), the weight's own.
    """

    kind: Kind
    low: Tensor
    step: Tensor
    bits: Tensor

    @property
    def scale(self) -> Tensor:
        """The scale factor of a symmetric layer, half its step: (out,)."""
        return self.step / 2

    def over(self, unit: int) -> "Levels":
        """Levels for an input whose codes are `unit` times its values: 3 for digits, which stand for thirds."""
        return self if unit == 1 else replace(self, low=self.low / unit, step=self.step / unit)

    @property
    def density(self) -> float:
        """The share of bits that are 1."""
        return self.bits.float().mean().item()

    def decode(self) -> Tensor:
        """The weight again: low + step * bit, in one rounding; exact unless the kind is general."""
        shape = (-1, *[1] * (self.bits.dim() - 1))
        return torch.where(self.bits, (self.low + self.step).view(shape), self.low.view(shape))


def read_levels(w: Tensor) -> Levels:
    """Levels and bits of a binarized weight.

    A channel that holds one value only takes the pair of the layer where all others share one that contains it.

    Args:
        w: what a weight binarizer returned.

    Shape:
        w (out, ...), at least one weight a channel.

    Raises:
        LoweringError: a channel holds more than two values, or one that is not finite.
    """
    flat = w.detach().flatten(1)
    low, high = flat.aminmax(dim=1)
    two = low != high
    lowest, highest = low.where(two, torch.inf).min(), high.where(two, torch.inf).min()
    facts = torch.stack(
        [
            (low.isfinite() & high.isfinite()).all(),
            ((flat == low[:, None]) | (flat == high[:, None])).all(),
            ((low == -high) | ~two).all(),
            ((low == 0) | (high == 0) | ~two).all(),
            (((low == lowest) & (high == highest)) | ~two).all() & two.any(),
        ]
    )
    finite, lawful, symmetric, has_zero, layer_wide = facts.tolist()  # one wait for the device instead of five
    if not (finite and lawful):
        raise LoweringError(_broken_filter(flat))
    if symmetric:
        scale = torch.maximum(low.abs(), high.abs())
        return Levels("symmetric", -scale, 2 * scale, w > 0)
    if layer_wide:
        single = ~two & ((low == lowest) | (low == highest))
        low, high = low.where(~single, lowest), high.where(~single, highest)
        two = two | single
    if has_zero:
        return Levels("zero_one", torch.zeros_like(low), low.where(low != 0, high), w != 0)
    bits = (flat == high[:, None]) & two[:, None]
    if 2 * bits.sum() > two.sum() * flat.shape[1]:
        low, high = high.where(two, low), low
        bits = ~bits & two[:, None]
    return Levels("general", low, high - low, bits.view(w.shape))


def has_digits(binarizer: object) -> bool:
    """Whether a binarizer's values are the digits -3, -1, +1, +3 over 3, as those of `Planes`.

    Such a module has an attribute `digits` that is true; modules around it need none.
    """
    modules = binarizer.modules() if isinstance(binarizer, torch.nn.Module) else [binarizer]
    return any(getattr(module, "digits", False) is True for module in modules)


def check_binarizer(
    binarizer: Callable[[Tensor], Tensor], *, shape: tuple[int, ...] = (8, 6, 3, 3), activation: bool = False
) -> Levels:
    """Run a binarizer, yours or ours, and hold it against the laws that training and lowering rely on.

    1. The output has the input's shape and at most two finite values: per output channel for a weight, in the whole
       tensor for an activation, and there -1/+1 or 0/1; or, if it says that it has digits, -1, -1/3, +1/3 and +1.
    2. Zero belongs to the upper side: where the sign of tiny values decides, 0 goes with the positive ones.
    3. A finite gradient reaches the input, and any gradient that reaches a parameter is finite.

    The binarizer is called on small made-up tensors, in the mode it is in; gradients of its parameters are left alone.

    Args:
        binarizer: module or function from tensor to tensor.
        shape: of the made-up tensor: (out, in, kh, kw) or (out, in) for a weight, (N, C, H, W) or (N, F) for an
            activation; at least four channels along the second axis.
        activation: whether it binarizes activations rather than weights.

    Returns:
        The levels that were read off the output; of digits those of the high plane.

    Raises:
        ValueError: a law is broken; the message names every one that is.

    Example:
        >>> from bitwright.core.binarizers import Sign
        >>> check_binarizer(Sign()).kind
        'symmetric'
        >>> check_binarizer(torch.sign)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: sign breaks the laws of a binarizer: filter 0 holds 3 values (-1, 0, 1), expected at most 2...
    """
    if len(shape) < 2 or shape[1] < 4 or min(shape) < 1:
        raise ValueError(f"shape: expected at least four channels on the second axis, found {shape}")
    parameters = list(binarizer.parameters()) if isinstance(binarizer, torch.nn.Module) else []
    x = _probe(shape).to(parameters[0].device if parameters else "cpu").requires_grad_()
    with torch.enable_grad():
        y = binarizer(x)
    problems = []
    levels = None
    if y.shape == x.shape and activation and has_digits(binarizer):
        levels = read_levels(torch.where(y > 0, 1.0, -1.0).reshape(1, -1))
        distance = y.detach()[..., None] - y.new_tensor([-1.0, -1 / 3, 1 / 3, 1.0])
        if not bool((distance.abs().amin(-1) < 1e-2).all()):
            problems.append(f"digits over 3 are -1, -1/3, +1/3 and +1, found {_listed(y)}")
        problems += _zero_law(y) + _gradient_law(x, y, parameters)
    elif y.shape == x.shape:
        try:
            levels = read_levels(y.reshape(1, -1) if activation else y)
        except LoweringError as error:
            problems.append(str(error).rstrip("."))
        if activation and {*y.detach().unique().tolist()} not in ({-1.0, 1.0}, {0.0, 1.0}):
            problems.append(f"an activation's values are -1 and +1, or 0 and 1, found {_listed(y)}")
        problems += _zero_law(y) + _gradient_law(x, y, parameters)
    else:
        problems.append(f"the output's shape is {tuple(y.shape)}, expected the input's, {tuple(shape)}")
    if levels is None or problems:
        raise ValueError(f"{_name(binarizer)} breaks the laws of a binarizer: {'; '.join(problems)}.")
    return levels


def _probe(shape: tuple[int, ...]) -> Tensor:
    """Values whose mean over the second axis is exactly 0, so that centring moves nothing: v beside -v.

    The first four channels begin with +tiny, -tiny, 0 and 0.
    """
    half = (shape[0], shape[1] // 2, *shape[2:])
    v = torch.randint(1, 97, half, generator=torch.Generator().manual_seed(0)) / 64
    x = torch.zeros(shape)
    x[:, 0 : 2 * half[1] : 2], x[:, 1 : 2 * half[1] : 2] = v, -v
    x.view(shape[0], shape[1], -1)[:, :4, 0] = torch.tensor([2.0**-12, -(2.0**-12), 0, 0])
    return x


def _zero_law(y: Tensor) -> list[str]:
    above, below, zero = y.detach().reshape(*y.shape[:2], -1)[:, :3, 0].unbind(1)
    if ((above != below) & (zero == below)).all():
        return ["0 goes with the negative values, expected sign(0) = +1 (compare with >=)"]
    return []


def _gradient_law(x: Tensor, y: Tensor, parameters: list[torch.nn.Parameter]) -> list[str]:
    trained = [p for p in parameters if p.requires_grad]
    if not y.requires_grad:
        return ["no gradient reaches the input: the output is detached"]
    upstream = torch.linspace(-1, 1, y.numel(), device=y.device).view(y.shape)
    to_x, *to_parameters = torch.autograd.grad(y, [x, *trained], upstream.to(y.dtype), allow_unused=True)
    if to_x is None or not to_x.any():
        return ["no gradient reaches the input"]
    if not all(g.isfinite().all() for g in (to_x, *to_parameters) if g is not None):
        return ["a gradient is not finite"]
    return []


def _name(binarizer: object) -> str:
    return getattr(binarizer, "__name__", type(binarizer).__name__)


def _listed(values: Tensor) -> str:
    found = values.detach().unique().tolist()
    return ", ".join(f"{v:.6g}" for v in found[:4]) + (", ..." if len(found) > 4 else "")


def _broken_filter(flat: Tensor) -> str:
    for index, values in enumerate(flat):
        if not values.isfinite().all():
            return f"filter {index} holds a value that is not finite ({values[~values.isfinite()][0].item()})."
        if len(values.unique()) > 2:
            return f"filter {index} holds {len(values.unique())} values ({_listed(values)}), expected at most 2."
    raise AssertionError("every filter is lawful")
