"""The search by itself, with scores that are plain functions."""

import os
import sys
from dataclasses import replace
from itertools import pairwise

import pytest
import toy
from landscape import measured, synthetic

from bitwright.errors import BitwrightError
from bitwright.nas.search import Budget, Found, Score, search
from bitwright.nas.space import CIFAR, Space, Stage
from bitwright.nas.variation import Variation
from bitwright.nas.workers import workers

VARIETY = Variation(CIFAR)
BUDGET = Budget(0.1, 6.0, 0.4, population=40, generations=6, mutations=12, crossovers=12)


def scores(candidates):
    return map(synthetic, candidates)


def names(found: Found) -> list[tuple]:
    return [(trial.name, trial.value, trial.bin, trial.generation, trial.kind) for trial in found.trials]


def test_a_search_spends_its_budget_and_tries_nothing_twice() -> None:
    found = search(VARIETY, scores, BUDGET)
    assert len(found.trials) == BUDGET.trials == len({trial.name for trial in found.trials})
    assert [trial.index for trial in found.trials] == list(range(BUDGET.trials))
    kinds = [trial.kind for trial in found.trials]
    assert kinds.count("mutation") == kinds.count("crossover") == 6 * 12
    assert kinds.count("start") == 1  # the largest network is out of range
    for trial in found.trials:
        assert 0.1 <= trial.price <= 6.0 and trial.cost == trial.price == VARIETY.price(trial.candidate)
        assert abs(trial.bin * BUDGET.step - trial.cost) <= BUDGET.step / 2


def test_each_bin_keeps_its_best_and_never_falls() -> None:
    history: list[dict[int, float]] = []

    def watch(trial, found) -> None:
        history.append({number: winner.value for number, winner in found.winners.items()})

    found = search(VARIETY, scores, BUDGET, watch=watch)
    for before, after in pairwise(history):
        assert all(after[number] >= value for number, value in before.items())
    for number, winner in found.winners.items():
        alike = [trial for trial in found.trials if trial.bin == number]
        best = max(trial.value for trial in alike)
        assert winner is next(trial for trial in alike if trial.value == best)
    assert len(found.winners) > 8


def test_the_seed_decides_everything() -> None:
    again, other = (names(search(VARIETY, scores, replace(BUDGET, seed=seed))) for seed in (0, 1))
    assert names(search(VARIETY, scores, BUDGET)) == again
    assert again != other


@pytest.mark.parametrize("stopped", [0, 5, 40, 77])
def test_a_search_goes_on_where_it_stopped(stopped: int) -> None:
    whole = search(VARIETY, scores, BUDGET)
    known = {trial.name: Score(trial.value) for trial in whole.trials[:stopped]}
    asked = []

    def count(candidates):
        for candidate in candidates:
            asked.append(candidate)
            yield synthetic(candidate)

    assert names(search(VARIETY, count, BUDGET, known=known)) == names(whole)
    assert len(asked) == BUDGET.trials - stopped


def test_evolution_beats_random_draws_of_the_same_budget() -> None:
    gains = []
    for seed in range(6):
        budget = replace(BUDGET, seed=seed)
        evolved, drawn = (
            search(VARIETY, scores, replace(budget, strategy=strategy)) for strategy in ("evolution", "random")
        )
        assert len(evolved.trials) == len(drawn.trials)
        assert names(evolved)[: BUDGET.population] == names(drawn)[: BUDGET.population]
        gains.append(evolved.quality(budget) - drawn.quality(budget))
    assert min(gains) > 0


def test_two_processes_find_what_one_finds() -> None:
    budget = Budget(0, 36, 6, population=10, generations=3, mutations=4, crossovers=4)
    with workers(toy.score) as alone, workers(toy.score, processes=2) as pooled:
        found = [names(search(toy.Digits(), batch, budget)) for batch in (alone, pooled)]
    assert found[0] == found[1] and len(found[0]) == budget.trials


@pytest.mark.filterwarnings("default")  # Ray's own
def test_ray_finds_what_one_process_finds(monkeypatch) -> None:
    pytest.importorskip("ray")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # so that its workers find the score
    budget = Budget(0, 36, 6, population=10, generations=2, mutations=4, crossovers=4)
    with workers(toy.score) as alone, workers(toy.score, ray="local") as spread:
        found = [names(search(toy.Digits(), batch, budget)) for batch in (alone, spread)]
    assert found[0] == found[1]


def test_a_measured_cost_decides_the_bin() -> None:
    budget = Budget(5, 9, 1, population=30, generations=3, mutations=8, crossovers=8, priced=False)
    found = search(VARIETY, lambda candidates: map(measured, candidates), budget)
    assert len(found.trials) == budget.trials
    depths = [sum(trial.candidate.depths) for trial in found.trials]
    assert [trial.cost for trial in found.trials] == depths
    assert any(depth < 5 for depth in depths) and set(found.winners) <= {5, 6, 7, 8, 9}
    assert all(trial.bin is None for trial in found.trials if trial.cost < 5 or trial.cost > 9)


def test_a_small_space_is_searched_whole() -> None:
    space = Space((Stage((8,), (1,), stride=1), Stage((8, 16), (1,), (3, 5))), size=8)
    budget = Budget(0, 1, 0.01, population=2, generations=3, mutations=20, crossovers=20)
    found = search(Variation(space), lambda candidates: [synthetic(c, space) for c in candidates], budget)
    assert len(found.trials) == space.count() == 4


def test_quality_counts_what_cheaper_bins_have() -> None:
    budget = Budget(1, 4, 1)
    trial = search(VARIETY, scores, BUDGET).trials[0]
    tries = Found()
    for number, value in ((2, 3.0), (3, 1.0)):
        tries.add(replace(trial, bin=number, value=value))
    assert tries.quality(budget) == (0 + 3 + 3 + 3) / 4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"low": 3, "high": 2}, "low < high"),
        ({"step": 0}, "step: expected a width above 0"),
        ({"population": 0}, "population: expected 1 or more"),
    ],
)
def test_budgets_that_make_no_sense_are_refused(settings, message) -> None:
    with pytest.raises(ValueError, match=message):
        Budget(**{"low": 1, "high": 2, "step": 1, **settings})


def test_workers_say_what_they_lack(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(BitwrightError, match="ray is not installed"), workers(synthetic, ray="local"):
        pass
    with pytest.raises(ValueError, match="processes: expected 1 or more, found 0"), workers(synthetic, processes=0):
        pass
