"""A search's recipe: that of the supernet's training, with a table more for what comes after it."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from bitwright.errors import RecipeError
from bitwright.nas.evaluate import Fitness
from bitwright.nas.search import Budget, Strategy
from bitwright.train.catalogue import FLOAT
from bitwright.train.config import Choice, Recipe
from bitwright.train.toml_form import apply_overrides, build, parse, read_tables

_NOTHING = Choice(FLOAT)


@dataclass(frozen=True)
class Search:
    """How the networks of a supernet are searched; see `nas.search.Budget` for the budget.

    Attributes:
        low: Least cost of a network, in millions of OPs, or in milliseconds.
        high: Most.
        step: Width of a bin, each of which has one winner.
        population: Random networks at the start.
        generations: Rounds after it.
        mutations: Of each round.
        crossovers: Of each round.
        strategy: "random" draws as many networks as evolution would try.
        bins: What the cost is: the count of operations, or the measured time of the packed network, one image a call.
        fitness: What is to be high: accuracy, or "speed" of the packed network.
        images: How many of the held-out images a network is judged by; 0 for all.
        calibration: Batches over which each network takes the statistics of its batch norms.
        calibration_batch: Training images in such a batch.
        engine_threads: On which the packed network is timed.
        compat: Whether channels may fall where the published code lets them, see `nas.variation.Variation`.
        supernet: Run folder of a search, or of a supernet's training, whose supernet is taken; empty trains one.
    """

    low: float
    high: float
    step: float
    population: int = 512
    generations: int = 20
    mutations: int = 128
    crossovers: int = 128
    strategy: Strategy = "evolution"
    bins: Literal["ops", "latency"] = "ops"
    fitness: Fitness = "accuracy"
    images: int = 0
    calibration: int = 10
    calibration_batch: int = 2048
    engine_threads: int = 1
    compat: bool = False
    supernet: str = ""

    def __post_init__(self) -> None:
        for key, least in (("images", 0), ("calibration", 1), ("calibration_batch", 2), ("engine_threads", 1)):
            if getattr(self, key) < least:
                raise RecipeError(f"search.{key} must be {least} or more, found {getattr(self, key)}")
        try:
            self.budget(0)
        except ValueError as error:
            raise RecipeError(f"search.{error}") from None

    @property
    def unit(self) -> str:
        """What stands behind a cost: M for millions of OPs, or ms."""
        return "M" if self.bins == "ops" else "ms"

    @property
    def timed(self) -> bool:
        """Whether networks are packed and timed."""
        return self.bins == "latency" or self.fitness == "speed"

    def budget(self, seed: int) -> Budget:
        """The budget.

        Args:
            seed: Of all draws.
        """
        return Budget(
            self.low, self.high, self.step, self.population, self.generations, self.mutations, self.crossovers,
            self.strategy, priced=self.bins == "ops", seed=seed,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class SearchRecipe(Recipe):
    """A supernet's training and the search of its networks.

    Attributes:
        method: None, as the supernet is binary by itself.
        search: How its networks are searched.
    """

    method: Choice = _NOTHING
    search: Search

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.stages or self.teacher.source or self.machine.compile or self.method.name != FLOAT:
            raise RecipeError("a search has no stages, no teacher, no method and no machine.compile")
        if not self.data.held_out:
            raise RecipeError(
                "data.held_out must be 1 or more: networks are judged by images that training has not seen"
            )

    @property
    def training(self) -> Recipe:
        """The supernet's own recipe."""
        return Recipe(**{item.name: getattr(self, item.name) for item in fields(Recipe)})


def is_search(path: str | Path) -> bool:
    """Whether a recipe file is a search's: it has a table [search], in the file itself.

    Args:
        path: The TOML file.
    """
    return "search" in parse(Path(path).read_text(encoding="utf-8"))


def read_search(path: str | Path, *, overrides: tuple[str, ...] = ()) -> SearchRecipe:
    """Read a search's recipe; `base` and overrides are as for `config.read_recipe`.

    Args:
        path: The TOML file.
        overrides: Assignments such as "search.generations=5" that come after the file.

    Raises:
        RecipeError: If there is no such file, or it is not such a recipe.
    """
    tables = read_tables(Path(path), own=("title", "published", "note"))
    try:
        return build(SearchRecipe, apply_overrides(tables, overrides))
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from None


def parse_search(text: str, *, overrides: tuple[str, ...] = ()) -> SearchRecipe:
    """Read a search's recipe from TOML text.

    Args:
        text: The file's content.
        overrides: As for `read_search`.

    Raises:
        RecipeError: If it is not such a recipe.
    """
    return build(SearchRecipe, apply_overrides(parse(text), overrides))
