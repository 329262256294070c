"""Losses between two networks: identities, gradients, refusals. The golden numbers are in tests/golden."""

import pytest
import torch
import torch.nn.functional as F

from bitwright.distill import attention_loss, distillation_loss, distributional_loss, soft_cross_entropy


def logits() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(4, 10, requires_grad=True), torch.randn(4, 10, requires_grad=True)


def test_label_smoothing_is_a_soft_target() -> None:
    student, _ = logits()
    label = torch.tensor([1, 0, 9, 4])
    target = 0.9 * F.one_hot(label, 10) + 0.01
    torch.testing.assert_close(
        soft_cross_entropy(student, target), F.cross_entropy(student, label, label_smoothing=0.1)
    )


@pytest.mark.parametrize("loss", [distributional_loss, distillation_loss])
def test_no_gradient_where_logits_differ_by_a_constant(loss) -> None:
    student, _ = logits()
    teacher = student.detach() + torch.randn(4, 1)
    loss(student, teacher).backward()
    torch.testing.assert_close(student.grad, torch.zeros(4, 10), atol=1e-6, rtol=0)


def test_divergence_and_cross_entropy_differ_by_the_entropy() -> None:
    student, teacher = logits()
    entropy = soft_cross_entropy(teacher, teacher.softmax(1))
    torch.testing.assert_close(distributional_loss(student, teacher) - entropy, distillation_loss(student, teacher))
    assert distillation_loss(student, teacher) > 0
    assert distillation_loss(teacher, teacher).item() == pytest.approx(0, abs=1e-6)


def test_temperature_divides_both_and_keeps_the_size() -> None:
    student, teacher = logits()
    hot = distillation_loss(student, teacher, temperature=4.0)
    torch.testing.assert_close(hot, 16 * distillation_loss(student / 4, teacher / 4))
    with pytest.raises(ValueError, match=r"temperature: expected a number above 0, found 0"):
        distillation_loss(student, teacher, temperature=0)


@pytest.mark.parametrize(
    "loss",
    [
        distributional_loss,
        distillation_loss,
        lambda s, t: attention_loss([s[..., None, None] ** 2], [t[..., None, None] * 0 + 1]),
    ],
)
def test_the_teacher_gets_no_gradient(loss) -> None:
    student, teacher = logits()
    loss(student, teacher).backward()
    assert teacher.grad is None


def test_attention_is_the_formula() -> None:
    student, teacher = torch.randn(3, 4, 5, 5), torch.randn(3, 8, 5, 5)
    expected = 0.0
    for n in range(3):
        q, r = (a[n].square().sum(0).flatten() for a in (student, teacher))
        expected += (q / q.norm() - r / r.norm()).norm().item() / 3
    assert attention_loss([student], [teacher]).item() == pytest.approx(expected, rel=1e-5)
    both = attention_loss([student, student], [teacher, 2 * teacher])
    assert both.item() == pytest.approx(2 * expected, rel=1e-5)


def test_equal_attention_has_no_loss_and_finite_gradients() -> None:
    a = torch.randn(2, 3, 4, 4)
    a[0] = 0
    a.requires_grad_()
    loss = attention_loss([a], [-a])
    loss.backward()
    assert loss.item() == 0 and a.grad is not None and a.grad.isfinite().all()


def test_features_that_do_not_fit_are_refused() -> None:
    a = torch.randn(2, 3, 4, 4)
    with pytest.raises(ValueError, match=r"as many features of both, at least one, found 1 and 2"):
        attention_loss([a], [a, a])
    with pytest.raises(ValueError, match=r"features 1: expected maps of one size, found \(4, 4\) and \(2, 2\)"):
        attention_loss([a, a], [a, a[:, :, ::2, ::2]])
