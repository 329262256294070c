"""S2-BNN's loss: its least value, its gradient, and what does not change it."""

import pytest
import torch
import torch.nn.functional as F

from bitwright.distill import guided_loss


def projections() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(2)
    return torch.randn(6, 16), torch.randn(6, 16)


def test_the_loss_is_the_formula_and_lengths_do_not_matter() -> None:
    student, teacher = projections()
    expected = 0.0
    for s, t in zip(student, teacher, strict=True):
        p, q = ((row / row.norm() / 0.2).exp() for row in (t, s))
        expected = expected - (p / p.sum() * (q / q.sum()).log()).sum() / 6
    torch.testing.assert_close(guided_loss(student, teacher), expected)
    torch.testing.assert_close(guided_loss(3 * student, teacher / 5), expected)


def test_equal_projections_have_no_gradient_and_the_entropy_as_the_least_loss() -> None:
    other, teacher = projections()
    student = teacher.clone().requires_grad_()
    loss = guided_loss(student, teacher)
    loss.backward()
    p = (F.normalize(teacher, dim=1) / 0.2).softmax(1)
    torch.testing.assert_close(loss.detach(), -(p * p.log()).sum(1).mean())
    assert student.grad is not None and student.grad.abs().max() < 1e-6
    for step in (0.01, 0.1, 1.0):
        assert guided_loss(teacher + step * other, teacher) > loss


@pytest.mark.parametrize("temperature", [0.2, 1.0])
def test_the_gradient_to_unit_projections_is_the_difference_of_probabilities(temperature: float) -> None:
    student, teacher = (F.normalize(rows, dim=1) for rows in projections())
    student.requires_grad_()
    (found,) = torch.autograd.grad(guided_loss(student, teacher, temperature), student)
    with torch.no_grad():
        gap = (student / temperature).softmax(1) - (teacher / temperature).softmax(1)
        gap = gap / (len(student) * temperature)
        along = (gap * student).sum(1, keepdim=True) * student  # which the scaling to length 1 takes away
    torch.testing.assert_close(found, gap - along)


def test_the_teacher_gets_no_gradient() -> None:
    student, teacher = (rows.requires_grad_() for rows in projections())
    guided_loss(student, teacher).backward()
    assert teacher.grad is None and student.grad is not None


def test_temperatures_of_0_are_refused() -> None:
    with pytest.raises(ValueError, match="temperature: expected"):
        guided_loss(*projections(), temperature=0.0)
