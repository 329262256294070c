"""Levels: what is read off a binarized weight, and what check_binarizer says of unlawful binarizers."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from bitwright.core.binarizers import ScaledSign, Sign, Step
from bitwright.core.estimators import straight_through
from bitwright.core.levels import check_binarizer, read_levels
from bitwright.errors import LoweringError


def test_symmetric_levels_may_differ_by_filter() -> None:
    w = torch.tensor([[0.5, -0.5], [2.0, -2.0], [-3.0, -3.0], [0.0, 0.0]])
    levels = read_levels(w)
    assert levels.kind == "symmetric"
    assert levels.scale.tolist() == [0.5, 2, 3, 0]
    assert levels.bits.tolist() == [[True, False], [True, False], [False, False], [False, False]]
    assert torch.equal(levels.decode(), w)


def test_zero_one_levels_have_a_step_of_either_sign() -> None:
    w = torch.tensor([[0.5, 0.0], [0.0, -2.0], [0.0, 0.0], [3.0, 3.0]])
    levels = read_levels(w)
    assert levels.kind == "zero_one"
    assert levels.step.tolist() == [0.5, -2, 0, 3]
    assert torch.equal(levels.bits, w != 0)
    assert torch.equal(levels.decode(), w)


@pytest.mark.parametrize(("rare", "common"), [(0.75, -0.25), (-0.25, 0.75)])
def test_general_bits_mark_the_rarer_level(rare: float, common: float) -> None:
    w = torch.tensor([[rare, common, common], [common, common, common], [rare, common, rare]])
    levels = read_levels(w)
    assert levels.kind == "general"
    assert torch.equal(levels.bits, w == rare)
    assert levels.low.tolist() == [common] * 3  # also in the filter that holds one level only
    assert levels.step.tolist() == [rare - common] * 3
    assert torch.equal(levels.decode(), w)
    assert levels.density == pytest.approx(3 / 9)


def test_single_values_outside_the_layers_pair_stand_alone() -> None:
    w = torch.tensor([[0.75, -0.25, -0.25], [5.0, 5.0, 5.0]])
    levels = read_levels(w)
    assert (levels.low.tolist(), levels.step.tolist()) == ([-0.25, 5.0], [1.0, 0.0])
    assert not levels.bits[1].any()


@given(
    st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=1, max_size=5),
    st.integers(1, 6),
    st.integers(0, 2**20),
)
def test_any_lawful_weight_is_decoded_exactly(pairs: list[tuple[int, int]], taps: int, seed: int) -> None:
    bits = torch.randint(0, 2, (len(pairs), taps), generator=torch.Generator().manual_seed(seed)).bool()
    values = torch.tensor(pairs, dtype=torch.float32)
    w = torch.where(bits, values[:, 1:], values[:, :1])
    assert torch.equal(read_levels(w).decode(), w)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([1.0, 0.0, -1.0], r"filter 1 holds 3 values \(-1, 0, 1\), expected at most 2"),
        ([1.0, float("nan"), -1.0], r"filter 1 holds a value that is not finite \(nan\)"),
        ([float("inf")] * 3, r"filter 1 holds a value that is not finite \(inf\)"),
    ],
)
def test_unlawful_weights_are_refused(row: list[float], message: str) -> None:
    with pytest.raises(LoweringError, match=message):
        read_levels(torch.tensor([[1.0, -1.0, 1.0], row]))


class Frozen(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return Sign()(x.detach())


class Exploding(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return Sign()((x - x + 1e-30).sqrt().sub(1e-15).sqrt() * 0 + x)


def strict_sign(x: Tensor) -> Tensor:
    return straight_through((x > 0).to(x) * 2 - 1, x)


BROKEN = {
    "three values": (torch.sign, {}, "holds 3 values"),
    "zero below": (strict_sign, {}, r"expected sign\(0\) = \+1"),
    "no gradient": (Frozen(), {}, "no gradient reaches the input"),
    "shape": (nn.Flatten(0), {}, "the output's shape is"),
    "real": (nn.Identity(), {}, "expected at most 2"),
    "scaled activation": (ScaledSign(), {"activation": True}, "expected at most 2|-1 and"),
    "infinite gradient": (Exploding(), {}, "a gradient is not finite"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_check_binarizer_names_the_broken_law(name: str) -> None:
    binarizer, options, message = BROKEN[name]
    with pytest.raises(ValueError, match=message):
        check_binarizer(binarizer, **options)


def test_check_binarizer_accepts_what_is_lawful() -> None:
    assert check_binarizer(ScaledSign(), shape=(3, 5)).kind == "symmetric"
    assert check_binarizer(Sign(), shape=(2, 7, 3, 3), activation=True).scale.tolist() == [1]
    assert check_binarizer(Step(0.5), activation=True).kind == "zero_one"
    with pytest.raises(ValueError, match=r"at least four channels"):
        check_binarizer(Sign(), shape=(3, 2))


def test_check_binarizer_leaves_gradients_alone() -> None:
    class Learned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(0.5))

        def forward(self, x: Tensor) -> Tensor:
            return self.scale * Sign()(x)

    binarizer = Learned()
    check_binarizer(binarizer)
    assert binarizer.scale.grad is None
