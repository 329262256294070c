"""The file of the networks that a search has tried: a line each, written as soon as its score is known."""

import csv
from pathlib import Path
from typing import Any

from bitwright.errors import RunError
from bitwright.nas.search import Score, Trial

_COLUMNS = ("index", "generation", "kind", "ops", "cost", "value", "arch")


class CandidateFile:
    """`candidates.csv`: order, generation, how it was made, millions of OPs, cost, value, and the network.

    Costs and values are written in full, so that a search that goes on decides as it did.

    Args:
        path: The file, there or not.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, Score]:
        """The scores so far, by network. A last line that was not written whole is taken out of the file.

        Raises:
            RunError: It is no such file.
        """
        if not self.path.is_file():
            self.path.write_text(",".join(_COLUMNS) + "\n", encoding="utf-8")
            return {}
        text = self.path.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            self.path.write_text(whole, encoding="utf-8")
        try:
            return {
                row["arch"]: Score(float(row["value"]), float(row["cost"]))
                for row in csv.DictReader(whole.splitlines())
            }
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"{self.path}: not a search's list of networks: {error}") from None

    def add(self, trial: Trial[Any]) -> None:
        """Write a line.

        Args:
            trial: The network.
        """
        cells = [trial.index, trial.generation, trial.kind, trial.price, trial.cost, trial.value, trial.name]
        with self.path.open("a", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerow([repr(c) if isinstance(c, float) else c for c in cells])
