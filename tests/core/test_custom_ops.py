"""The deployed arithmetic: exact integers, then levels and bias in a fixed order; ordinary gradients."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bitwright.core.custom_ops import binary_conv2d, binary_linear, quantize, sign, step
from bitwright.core.levels import read_levels
from bitwright.errors import LoweringError

DOMAINS = {"symmetric": (-0.3, 0.3), "zero_one": (0.0, 0.7), "general": (-0.11, 0.83), "falling": (0.83, -0.11)}
GEOMETRIES = [
    # channels, out, kernel, stride, padding, dilation, groups
    (5, 7, (3, 3), (1, 1), (1, 1), (1, 1), 1),
    (6, 4, (3, 2), (2, 1), (2, 0), (1, 2), 2),
    (4, 8, (1, 1), (2, 2), (0, 0), (1, 1), 4),
    (3, 2, (5, 5), (1, 1), (2, 2), (1, 1), 1),
]


def two_valued(shape: tuple[int, ...], low: float, high: float) -> Tensor:
    return torch.where(torch.rand(shape) < 0.2, torch.tensor(high), torch.tensor(low))


def expected(total, levels, channels_last: bool) -> np.ndarray:
    """The stated order of float32 operations, in NumPy, from integers computed in float64."""
    shape = (-1,) if channels_last else (-1, 1, 1)
    bits, ones = levels.bits.double(), torch.ones_like(levels.bits, dtype=torch.float64)
    low, step, scale = (v.numpy().reshape(shape) for v in (levels.low, levels.step, levels.scale))
    if levels.kind == "symmetric":
        return total(2 * bits - 1).numpy().astype(np.float32) * scale
    y = total(bits).numpy().astype(np.float32) * step
    return y if levels.kind == "zero_one" else y + low * total(ones).numpy().astype(np.float32)


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
@pytest.mark.parametrize("codes", [sign, step], ids=["sign", "bit"])
def test_convolution_equals_the_stated_order_bit_for_bit(domain: str, geometry: tuple, codes) -> None:
    channels, out, kernel, *window, groups = geometry
    x = codes(torch.randn(2, channels, 9, 8))
    w, bias = two_valued((out, channels // groups, *kernel), *DOMAINS[domain]), torch.randn(out)
    found = binary_conv2d(x, w, bias, *window, groups)
    y = expected(lambda c: F.conv2d(x.double(), c, None, *window, groups), read_levels(w), channels_last=False)
    np.testing.assert_array_equal(found.numpy(), y + bias.numpy().reshape(-1, 1, 1))
    torch.testing.assert_close(found, F.conv2d(x, w, bias, *window, groups))
    assert torch.equal(binary_conv2d(x[0], w, bias, *window, groups), found[0])


@pytest.mark.parametrize("domain", DOMAINS)
def test_linear_equals_the_stated_order_bit_for_bit(domain: str) -> None:
    x, w, bias = sign(torch.randn(4, 3, 70)), two_valued((9, 70), *DOMAINS[domain]), torch.randn(9)
    found = binary_linear(x, w, bias)
    y = expected(lambda c: F.linear(x.double(), c), read_levels(w), channels_last=True)
    np.testing.assert_array_equal(found.numpy(), y + bias.numpy())


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_digits_are_summed_as_integers_and_their_levels_divided_by_3(domain: str, geometry: tuple) -> None:
    channels, out, kernel, *window, groups = geometry
    x = quantize(torch.randn(2, channels, 9, 8))
    w, bias = two_valued((out, channels // groups, *kernel), *DOMAINS[domain]), torch.randn(out)
    found = binary_conv2d(x, w, bias, *window, groups, digits=True)
    levels = read_levels(w)
    thirds = replace(levels, low=levels.low / 3, step=levels.step / 3)
    y = expected(lambda c: F.conv2d((3 * x.double()).round(), c, None, *window, groups), thirds, channels_last=False)
    np.testing.assert_array_equal(found.numpy(), y + bias.numpy().reshape(-1, 1, 1))
    torch.testing.assert_close(found, F.conv2d(x, w, bias, *window, groups))
    x, w = quantize(torch.randn(4, 3, 70)), two_valued((9, 70), *DOMAINS[domain])
    torch.testing.assert_close(binary_linear(x, w, None, digits=True), F.linear(x, w))


def test_gradients_are_those_of_the_ordinary_layers() -> None:
    w = two_valued((4, 3, 3, 3), -0.1, 0.8).requires_grad_()
    x, bias = sign(torch.randn(2, 6, 5, 5)).requires_grad_(), torch.randn(4, requires_grad=True)
    up = torch.randn(2, 4, 3, 3)
    found = torch.autograd.grad(binary_conv2d(x, w, bias, (2, 2), (1, 1), (1, 1), 2), (x, w, bias), up)
    wanted = torch.autograd.grad(F.conv2d(x, w, bias, 2, 1, 1, 2), (x, w, bias), up)
    torch.testing.assert_close(found, wanted)

    w = two_valued((4, 6), -0.1, 0.8).requires_grad_()
    x, up = sign(torch.randn(2, 5, 6)).requires_grad_(), torch.randn(2, 5, 4)
    found = torch.autograd.grad(binary_linear(x, w, bias), (x, w, bias), up)
    torch.testing.assert_close(found, torch.autograd.grad(F.linear(x, w, bias), (x, w, bias), up))


def test_operators_are_registered_correctly() -> None:
    checks = ("test_schema", "test_faketensor", "test_autograd_registration")
    ops = torch.ops.bitwright
    x, w = sign(torch.randn(2, 4, 6, 6)), two_valued((2, 2, 3, 3), -0.5, 1.0).requires_grad_()
    for op, arguments in (
        (ops.sign.default, (torch.randn(3, 4),)),
        (ops.step.default, (torch.randn(3, 4),)),
        (ops.quantize.default, (torch.randn(3, 4),)),
        (ops.binary_conv2d.default, (x, w, torch.ones(2), [2, 2], [1, 1], [1, 1], 2, True)),
        (ops.binary_conv2d.default, (x, w, torch.ones(2), [2, 2], [1, 1], [1, 1], 2)),
        (ops.binary_linear.default, (x, two_valued((3, 6), -0.5, 1.0).requires_grad_(), None)),
    ):
        torch.library.opcheck(op, arguments, test_utils=checks)


def test_half_precision_inputs_are_summed_exactly() -> None:
    x, w = sign(torch.randn(2, 1200)), two_valued((3, 1200), -0.5, 0.5)
    assert torch.equal(binary_linear(x.bfloat16(), w, None), binary_linear(x, w, None))
    assert binary_linear(x.half(), w.half(), None).dtype == torch.float16
    digits = quantize(torch.randn(2, 1200))
    assert torch.equal(binary_linear(digits.bfloat16(), w, None, True), binary_linear(digits, w, None, True))


def test_unlawful_weights_are_named() -> None:
    with pytest.raises(LoweringError, match=r"filter 0 holds 3 values"):
        binary_linear(torch.ones(1, 3), torch.tensor([[0.0, 1.0, 2.0]]), None)
