"""A search on the terminal while it runs: a bar, and the winners so far."""

from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

_SHOWN = 20  # bins; of more the best ones, spread


class SearchView:
    """A context that gives what `train.search.run_search` is to call with each network. Nothing shows before the first.

    Args:
        console: The terminal.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.live: Live | None = None
        self.progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TimeRemainingColumn(), console=console,
        )  # fmt: skip
        self.task = self.progress.add_task("")

    def __enter__(self) -> "SearchView":
        return self

    def __exit__(self, *error: object) -> None:
        if self.live is not None:
            self.live.stop()

    def __call__(self, recipe: Any, trial: Any, found: Any) -> None:
        """Show a network that was tried."""
        budget = recipe.search.budget(recipe.seed)
        if self.live is None:  # the supernet's training has a bar of its own
            self.live = Live(console=self.console, auto_refresh=False, transient=True)
            self.live.start()
        about = f"generation {trial.generation} of {budget.generations}, {trial.kind}"
        self.progress.update(self.task, description=about, completed=len(found.trials), total=budget.trials)
        self.live.update(Group(winners_table(recipe, found), self.progress), refresh=True)


def winners_table(recipe: Any, found: Any) -> Table:
    """The best network of each bin; of many bins some, evenly spread.

    Args:
        recipe: Of the search.
        found: What it has tried so far.
    """
    settings = recipe.search
    title = f"{recipe.title}: quality {found.quality(settings.budget(recipe.seed)):.4f}"
    table = Table("bin", "OPs", "value", "generation", "network", title=title)
    numbers = sorted(found.winners)
    step = -(-len(numbers) // _SHOWN) or 1
    for number in numbers[::step]:
        winner = found.winners[number]
        value = f"{winner.value:.2%}" if settings.fitness == "accuracy" else f"{winner.value:.3g} ms"
        label = f"{number * settings.step:g} {settings.unit}"
        cells = [label, f"{winner.price:.3g} M", value, f"{winner.generation}", winner.name]
        table.add_row(*map(Text, cells))
    return table
