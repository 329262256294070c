"""Losses between two networks: identities, gradients, refusals. The golden numbers are in tests/golden."""

import pytest
import torch
import torch.nn.functional as F

from bitwright.distill import attention_loss, distillation_loss, distributional_loss, feature_loss, soft_cross_entropy


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


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_divergence_and_cross_entropy_differ_by_the_entropy(temperature: float) -> None:
    student, teacher = logits()
    p = (teacher / temperature).softmax(1)
    entropy = -(temperature**2) * (p * p.log()).sum(1).mean()
    crossed, diverged = (
        distributional_loss(student, teacher, temperature),
        distillation_loss(student, teacher, temperature),
    )
    torch.testing.assert_close(crossed - entropy, diverged)
    for found, expected in zip(*(torch.autograd.grad(y, [student]) for y in (crossed, diverged)), strict=True):
        torch.testing.assert_close(found, expected)
    assert diverged > 0
    assert distillation_loss(teacher, teacher).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("loss", [distributional_loss, distillation_loss])
@pytest.mark.parametrize("temperature", [0.5, 4.0])
def test_temperature_divides_both_logits(loss, temperature: float) -> None:
    student, teacher = logits()
    found = loss(student, teacher, temperature=temperature)
    torch.testing.assert_close(found, temperature**2 * loss(student / temperature, teacher / temperature))
    with pytest.raises(ValueError, match=r"temperature: expected a number above 0, found 0"):
        loss(student, teacher, temperature=0)


@pytest.mark.parametrize("loss", [distributional_loss, distillation_loss])
def test_the_gradient_keeps_its_size_at_any_high_temperature(loss) -> None:
    """For T to infinity it is that of half the squared distance of the centred logits: d / (classes * batch)."""
    student, teacher = (x.detach().double().requires_grad_() for x in logits())
    centred = [x - x.mean(1, keepdim=True) for x in (student, teacher)]
    limit = (centred[0] - centred[1]).detach() / 40
    for temperature in (1e2, 1e4):
        (grad,) = torch.autograd.grad(loss(student, teacher, temperature), student)
        torch.testing.assert_close(grad, limit, rtol=5 / temperature, atol=5 / temperature)


@pytest.mark.parametrize(
    "loss",
    [
        distributional_loss,
        distillation_loss,
        lambda s, t: attention_loss([s[..., None, None] ** 2], [t[..., None, None] * 0 + 1]),
        lambda s, t: feature_loss([s], [t]),
        lambda s, t: feature_loss([s], [t], "cosine"),
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


@pytest.mark.parametrize("distance", ["mse", "cosine"])
def test_equal_features_have_no_distance_and_no_gradient(distance) -> None:
    a = torch.randn(2, 3, 4, 4, requires_grad=True)
    loss = feature_loss([a], [a.detach()], distance)
    loss.backward()
    assert loss.item() == 0 and a.grad is not None and not a.grad.any()


def test_distances_of_features_are_their_formulas() -> None:
    a, b, c, d = torch.randn(3, 4, 5, 5), torch.randn(3, 4, 5, 5), torch.randn(3, 7), torch.randn(3, 7)
    torch.testing.assert_close(feature_loss([a, c], [b, d]), ((a - b) ** 2).mean() + ((c - d) ** 2).mean())
    cosines = [F.cosine_similarity(x.flatten(1), y.flatten(1)) for x, y in ((a, b), (c, d))]
    torch.testing.assert_close(feature_loss([a, c], [b, d], "cosine"), sum(1 - cosine.mean() for cosine in cosines))
    torch.testing.assert_close(feature_loss([a], [5 * a], "cosine"), torch.tensor(0.0))
    with pytest.raises(ValueError, match=r"features 1: expected features of one size, found \(3, 7\) and \(3, 6\)"):
        feature_loss([a, c], [b, d[:, 1:]])
    with pytest.raises(ValueError, match=r"distance: expected 'mse' or 'cosine', found 'l1'"):
        feature_loss([a], [b], "l1")


def test_features_that_do_not_fit_are_refused() -> None:
    a = torch.randn(2, 3, 4, 4)
    with pytest.raises(ValueError, match=r"as many features of both, at least one, found 1 and 2"):
        attention_loss([a], [a, a])
    with pytest.raises(ValueError, match=r"features 1: expected maps of one size, found \(4, 4\) and \(2, 2\)"):
        attention_loss([a, a], [a, a[:, :, ::2, ::2]])
