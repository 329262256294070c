"""Rounds in turn."""

import pytest

from bitwright.bench.turns import calls, take_turns


def test_sides_take_turns_and_the_medians_and_minima_are_kept() -> None:
    order: list[str] = []

    def side(name: str, times: list[float]):
        def measure(runs: int) -> tuple[float, float]:
            order.append(name)
            return times[len([n for n in order if n == name]) - 1], 0.5 * times[0]

        return measure

    found = take_turns({"a": side("a", [10, 3, 1, 2]), "b": side("b", [5, 6, 7, 8])}, rounds=3, round_ms=20)
    assert order == ["a", "b", "a", "b", "a", "b", "a", "b"]  # the first two find how often to measure in a round
    assert (found["a"].median_ms, found["a"].min_ms, found["a"].runs) == (2, 5, 3 * 2)
    assert (found["b"].median_ms, found["b"].runs) == (7, 3 * 4)


def test_a_round_of_calls_warms_up_first() -> None:
    count = []
    median, least = calls(lambda: count.append(1))(4)
    assert len(count) == 5 and median >= least > 0


def test_there_is_at_least_one_round() -> None:
    with pytest.raises(ValueError, match="rounds"):
        take_turns({}, rounds=0)
