"""What the methods' files say about themselves, and the curves that are drawn of them."""

import pytest
import torch

from bitwright import methods
from bitwright.methods.about import activation_curves, describe_method


@pytest.mark.parametrize("name", methods.__all__)
def test_every_file_has_all_its_parts(name: str) -> None:
    about = describe_method(getattr(methods, name))
    assert about.name == name
    assert 2015 <= about.year <= 2026
    assert all(text.endswith(".") for text in (about.changes, about.deployed, about.checked, about.reference))


def test_a_file_without_them_is_refused() -> None:
    with pytest.raises(ValueError, match="its docstring lacks Deployed, Checked, Reference"):
        describe_method(test_a_file_without_them_is_refused)


def test_curves_follow_the_schedule() -> None:
    start, middle, end = activation_curves(methods.sbnn())
    assert [curve.progress for curve in (start, middle, end)] == [0.0, 0.5, 1.0]
    assert start.slope[60] == pytest.approx(1.0) and end.slope[60] == pytest.approx(10.0)
    assert torch.equal(start.forward, torch.where(start.values >= 0, 1.0, -1.0))


def test_a_method_without_a_schedule_has_one_curve() -> None:
    (curve,) = activation_curves(methods.bi_real_net(), torch.tensor([-2.0, -0.5, 0.0, 0.25]))
    assert curve.slope.tolist() == [0.0, 1.0, 2.0, 1.5]
