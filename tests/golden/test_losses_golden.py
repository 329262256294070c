"""The losses of several methods against numbers computed with the code that their authors published."""

import pytest
import torch.nn.functional as F
from cases import Case
from torch import Tensor

from bitwright.distill import distillation_loss, distributional_loss, soft_cross_entropy

TEACHERS = {
    "reactnet.distributional_loss": distributional_loss,
    "rbonn.distributional_loss": distributional_loss,
    "fracbnn.distillation_loss": distillation_loss,
}


def check(case: Case, loss) -> None:
    student = case["student"].clone().requires_grad_()
    out: Tensor = loss(student)
    out.backward()
    case.check("out", out)
    case.check("grad_student", student.grad)


@pytest.mark.parametrize("name", TEACHERS)
def test_loss_to_a_teacher(name: str) -> None:
    case = Case(name)
    check(case, lambda student: TEACHERS[name](student, case["teacher"]))


def test_label_smoothing() -> None:
    case = Case("bireal.label_smoothing_loss")
    label, amount = case["label"].long(), case.number("label_smoothing")
    target = (1 - amount) * F.one_hot(label, 10) + amount / 10
    check(case, lambda student: soft_cross_entropy(student, target))
    check(case, lambda student: F.cross_entropy(student, label, label_smoothing=amount))
