"""Activations with parameters per channel."""

import torch
import torch.nn.functional as F

from bitwright.nn.activations import FPReLU, RPReLU


def test_rprelu_without_shifts_is_a_prelu() -> None:
    x = torch.randn(3, 4, 5, 5)
    act = RPReLU(4)
    assert torch.equal(act(x), F.prelu(x, torch.full((4,), 0.25)))
    assert torch.equal(act(x[:, :, 0, 0]), F.prelu(x[:, :, 0, 0], torch.full((4,), 0.25)))


def test_rprelu_gradients_are_the_derivatives() -> None:
    act = RPReLU(3).double()
    for parameter in act.parameters():
        parameter.data.copy_(torch.rand(3))
    x = torch.randn(2, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda x, *parameters: torch.func.functional_call(
            act, dict(zip(("shift_in", "slope", "shift_out"), parameters, strict=True)), x
        ),
        (x, *act.parameters()),
    )


def test_fprelu_holds_its_special_cases() -> None:
    x = torch.randn(2, 3, 4, 4)
    act = FPReLU(3)
    slope = torch.tensor([0.5, -0.25, 2.0])
    act.negative.data.zero_()
    assert torch.equal(act(x), x.relu())
    act.negative.data.copy_(slope)
    assert torch.equal(act(x), F.prelu(x, slope))
    assert torch.equal(act(4 * x), 4 * act(x))
    act.positive.data.copy_(slope)
    assert torch.equal(act(x), x * slope[:, None, None])
    assert torch.equal(act(x[:, :, 0, 0]), x[:, :, 0, 0] * slope)


def test_fprelu_keeps_signs_while_both_slopes_are_positive() -> None:
    act = FPReLU(3)
    x = torch.randn(2, 3, 4, 4)
    x[0, 0, 0, 0] = 0
    act.positive.data.uniform_(0.1, 2)
    act.negative.data.uniform_(0.1, 2)
    assert torch.equal(act(x) >= 0, x >= 0)


def test_fprelu_gradients_are_masked_sums() -> None:
    act = FPReLU(3)
    x, up = torch.randn(2, 3, 4, 4, requires_grad=True), torch.randn(2, 3, 4, 4)
    act(x).backward(up)
    torch.testing.assert_close(act.positive.grad, (x * (x > 0) * up).sum((0, 2, 3)))
    torch.testing.assert_close(act.negative.grad, (x * (x < 0) * up).sum((0, 2, 3)))
    torch.testing.assert_close(x.grad, torch.where(x > 0, 1.0, 0.25) * up)
