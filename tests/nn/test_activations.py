"""Real-valued non-linearities."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bitwright.lower import export
from bitwright.nn.activations import FPReLU, Maxout, RPReLU


def test_maxout_is_first_a_prelu() -> None:
    x = torch.randn(2, 3, 4, 4)
    assert torch.equal(Maxout(3)(x), nn.PReLU(3)(x))


@pytest.mark.parametrize("shape", [(4, 3, 5, 5), (4, 3)])
def test_maxout_has_two_slopes_in_both_modes(shape: tuple[int, ...]) -> None:
    maxout = Maxout(3)
    p, n = torch.tensor([0.5, 0.0, -2.0]), torch.tensor([-0.5, 3.0, 0.25])
    maxout.load_state_dict({"pos_scale": p, "neg_scale": n})
    x = torch.randn(shape)
    each = [v.view(-1, *[1] * (x.dim() - 2)) for v in (p, n)]
    expected = torch.where(x > 0, each[0] * x, each[1] * x)
    torch.testing.assert_close(maxout(x), expected)
    torch.testing.assert_close(maxout.eval()(x), expected)


def test_maxout_is_two_operations_of_a_packed_network(tmp_path) -> None:
    net = nn.Sequential(nn.Conv2d(2, 3, 3), Maxout(3), nn.Flatten(), nn.Linear(27, 2))
    with torch.no_grad():
        net[1].pos_scale.copy_(torch.tensor([0.5, -1.0, 0.0]))
    report = export(net, tmp_path / "net.bw", torch.randn(3, 2, 5, 5))
    assert report.comparison.logits_relative < 1e-5


def test_maxout_gradients() -> None:
    maxout = Maxout(2, pos_scale=1.5, neg_scale=-0.5).double()
    x = torch.randn(3, 2, 4, dtype=torch.float64, requires_grad=True)
    for mode in (True, False):
        maxout.train(mode)
        p = [v.detach().clone().requires_grad_() for v in (maxout.pos_scale, maxout.neg_scale)]
        run = lambda x, *p: torch.func.functional_call(maxout, {"pos_scale": p[0], "neg_scale": p[1]}, (x,))  # noqa: E731
        assert torch.autograd.gradcheck(run, (x, *p))
    torch.testing.assert_close(maxout(x), 1.5 * F.relu(x) + 0.5 * F.relu(-x))


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
    act.neg_scale.data.zero_()
    assert torch.equal(act(x), x.relu())
    act.neg_scale.data.copy_(slope)
    assert torch.equal(act(x), F.prelu(x, slope))
    assert torch.equal(act(4 * x), 4 * act(x))
    act.pos_scale.data.copy_(slope)
    assert torch.equal(act(x), x * slope[:, None, None])
    assert torch.equal(act(x[:, :, 0, 0]), x[:, :, 0, 0] * slope)


def test_fprelu_keeps_signs_while_both_slopes_are_positive() -> None:
    act = FPReLU(3)
    x = torch.randn(2, 3, 4, 4)
    x[0, 0, 0, 0] = 0
    act.pos_scale.data.uniform_(0.1, 2)
    act.neg_scale.data.uniform_(0.1, 2)
    assert torch.equal(act(x) >= 0, x >= 0)


def test_fprelu_gradients_are_masked_sums() -> None:
    act = FPReLU(3)
    x, up = torch.randn(2, 3, 4, 4, requires_grad=True), torch.randn(2, 3, 4, 4)
    act(x).backward(up)
    torch.testing.assert_close(act.pos_scale.grad, (x * (x > 0) * up).sum((0, 2, 3)))
    torch.testing.assert_close(act.neg_scale.grad, (x * (x < 0) * up).sum((0, 2, 3)))
    torch.testing.assert_close(x.grad, torch.where(x > 0, 1.0, 0.25) * up)
