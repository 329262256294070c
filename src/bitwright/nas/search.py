"""Search: evolution over a pure score, one winner for each bin of cost; or random draws of the same budget.

Nothing here knows of networks. What is searched says how candidates are made (`Variety`), and a function says what they
are worth. The candidates of a generation follow from the seed and the scores before it alone, so that a search that is
run again with the scores it found before comes to the same end, however many processes work on it.

Reference: Lin et al., "NAS-BNN: Neural Architecture Search for Binary Neural Networks", 2024 (arXiv 2408.15484), and
the authors' code.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Generic, Literal, Protocol, TypeVar

C = TypeVar("C")
Strategy = Literal["evolution", "random"]
Kind = Literal["start", "random", "mutation", "crossover"]
_TRIES = 1000  # draws without a new candidate after which a generation makes do with those it has


class Variety(Protocol[C]):
    """Where candidates come from; see `variation.Variation`. None is a child that could not be made."""

    def starts(self) -> list[C]:
        """Candidates that every search begins with."""
        ...

    def name(self, candidate: C, /) -> str:
        """What tells candidates apart."""
        ...

    def price(self, candidate: C, /) -> float:
        """A cost that is known beforehand."""
        ...

    def sample(self, random: Random, /) -> C:
        """A random candidate."""
        ...

    def mutate(self, parent: C, random: Random, /) -> C | None:
        """A changed one."""
        ...

    def cross(self, one: C, other: C, random: Random, /) -> C | None:
        """A child of two."""
        ...


@dataclass(frozen=True)
class Score:
    """What a candidate is worth.

    Attributes:
        value: The higher, the better.
        cost: Measured together with the value; None where the price is the cost.
    """

    value: float
    cost: float | None = None


@dataclass(frozen=True)
class Budget:
    """How much is tried, and where.

    Attributes:
        low: Least cost of a candidate.
        high: Most.
        step: Width of a bin: a candidate's is the multiple of it that is nearest to its cost.
        population: Candidates at the start.
        generations: Rounds after it.
        mutations: Of each round.
        crossovers: Of each round.
        strategy: With "random", all candidates are random ones.
        priced: Whether the cost is the price, so that nothing out of range is tried; else it is measured.
        seed: Of all draws.
    """

    low: float
    high: float
    step: float
    population: int = 512
    generations: int = 20
    mutations: int = 128
    crossovers: int = 128
    strategy: Strategy = "evolution"
    priced: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.low < self.high:
            raise ValueError(f"low, high: expected 0 <= low < high, found {self.low:g} and {self.high:g}")
        if not 0 < self.step <= self.high:
            raise ValueError(f"step: expected a width above 0, at most high, found {self.step:g}")
        if self.population < 1 or min(self.generations, self.mutations, self.crossovers) < 0:
            raise ValueError("population: expected 1 or more; generations, mutations, crossovers: 0 or more")

    @property
    def trials(self) -> int:
        """Candidates in all."""
        return self.population + self.generations * (self.mutations + self.crossovers)

    def bin(self, cost: float) -> int | None:
        """The number of the bin of a cost, which is bin * step at its middle; None outside low and high.

        Args:
            cost: Of a candidate.
        """
        return round(cost / self.step) if self.low <= cost <= self.high else None


@dataclass(frozen=True)
class Trial(Generic[C]):
    """A candidate that was scored.

    Attributes:
        index: Counted from 0.
        generation: 0 for the population at the start.
        kind: How it was made.
        name: What tells it apart.
        candidate: Itself.
        price: Known beforehand.
        cost: The price, or what was measured.
        value: The higher, the better.
        bin: Of its cost; None outside the range.
    """

    index: int
    generation: int
    kind: Kind
    name: str
    candidate: C
    price: float
    cost: float
    value: float
    bin: int | None


@dataclass
class Found(Generic[C]):
    """What a search has tried so far, in order, and the best candidate of each bin, the first of equal ones."""

    trials: list[Trial[C]] = field(default_factory=list)
    winners: dict[int, Trial[C]] = field(default_factory=dict)

    def add(self, trial: Trial[C]) -> None:
        """Take note of a trial.

        Args:
            trial: The next one.
        """
        self.trials.append(trial)
        if trial.bin is not None and (trial.bin not in self.winners or trial.value > self.winners[trial.bin].value):
            self.winners[trial.bin] = trial

    def quality(self, budget: Budget) -> float:
        """The mean, over all bins from low to high, of the best value in this bin or a cheaper one; 0 where none is.

        Args:
            budget: Says which bins there are.
        """
        best, values = 0.0, []
        for number in range(round(budget.low / budget.step), round(budget.high / budget.step) + 1):
            best = max(best, self.winners[number].value) if number in self.winners else best
            values.append(best)
        return sum(values) / len(values)


def search(
    variety: Variety[C],
    score: Callable[[Sequence[C]], Iterable[Score]],
    budget: Budget,
    *,
    known: Mapping[str, Score] | None = None,
    watch: Callable[[Trial[C], Found[C]], None] = lambda trial, found: None,
) -> Found[C]:
    """Look for the best candidate of each bin.

    A population of `variety.starts()` and random candidates; then, generation after generation, mutations and
    crossovers of the winners, each parent drawn with the same probability. No candidate is tried twice; random ones
    take the place of children that cannot be had.

    Args:
        variety: Makes candidates.
        score: The scores of candidates, in their order; as they come, if it is an iterator.
        budget: How much is tried, and where.
        known: Scores of a search that was stopped, by name: these candidates are not scored again.
        watch: Called with each trial when it has a score, and with all there are.

    Example:
        >>> from bitwright.nas.space import CIFAR_SMALL
        >>> from bitwright.nas.variation import Variation
        >>> variety = Variation(CIFAR_SMALL)
        >>> budget = Budget(0, 0.4, 0.1, population=8, generations=2, mutations=4, crossovers=4)
        >>> wide = lambda candidates: [Score(c.rows[-1].channels) for c in candidates]
        >>> len(search(variety, wide, budget).trials)
        24
    """
    known = known or {}
    found: Found[C] = Found()
    seen: set[str] = set()
    for generation in range(1 + budget.generations):
        made = list(_generation(variety, budget, generation, found, seen))
        scores = iter(score([candidate for _, candidate, name in made if name not in known]))
        for kind, candidate, name in made:
            result = known[name] if name in known else next(scores)
            price = variety.price(candidate)
            cost = price if budget.priced or result.cost is None else result.cost
            at = budget.bin(cost)
            trial = Trial(len(found.trials), generation, kind, name, candidate, price, cost, result.value, at)
            found.add(trial)
            watch(trial, found)
    return found


def _generation(
    variety: Variety[C], budget: Budget, generation: int, found: Found[C], seen: set[str]
) -> Iterator[tuple[Kind, C, str]]:
    """New candidates with their names, which `seen` receives; fewer than planned where the space has no more."""
    random = Random(f"{budget.seed}/{generation}")
    parents = [found.winners[number].candidate for number in sorted(found.winners)]
    plan = deque(_plan(variety, budget, generation, parents, random))
    while plan:
        kind, left, make = plan.popleft()
        tries = _TRIES
        while left and tries:
            tries -= 1
            candidate = make()
            if candidate is None or (name := variety.name(candidate)) in seen:
                continue
            if not _fits(variety, budget, candidate):
                continue
            seen.add(name)
            yield kind, candidate, name
            left, tries = left - 1, _TRIES
        if left and kind in ("mutation", "crossover"):  # the winners have no new children
            plan.append(("random", left, lambda: variety.sample(random)))


def _fits(variety: Variety[C], budget: Budget, candidate: C) -> bool:
    """Whether a candidate can be in a bin, as far as is known beforehand."""
    return not budget.priced or budget.bin(variety.price(candidate)) is not None


def _plan(
    variety: Variety[C], budget: Budget, generation: int, parents: Sequence[C], random: Random
) -> list[tuple[Kind, int, Callable[[], C | None]]]:
    """How many candidates of each kind a generation makes, and how one of them is made."""

    def sample() -> C | None:
        return variety.sample(random)

    def mutate() -> C | None:
        return variety.mutate(random.choice(parents), random)

    def cross() -> C | None:
        return variety.cross(random.choice(parents), random.choice(parents), random)

    if generation == 0:
        starts = [start for start in variety.starts() if _fits(variety, budget, start)][: budget.population]
        rest = budget.population - len(starts)
        return [("start", len(starts), iter(starts).__next__), ("random", rest, sample)]
    if budget.strategy == "random" or not parents:
        return [("random", budget.mutations + budget.crossovers, sample)]
    return [("mutation", budget.mutations, mutate), ("crossover", budget.crossovers, cross)]
