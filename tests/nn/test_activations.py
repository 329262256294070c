"""Activations with parameters per channel."""

import torch
import torch.nn.functional as F

from bitwright.nn.activations import RPReLU


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
