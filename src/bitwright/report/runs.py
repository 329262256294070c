"""Run folders read back: what each run was and what it came to. Runs that differ in their seed alone form a group."""

import csv
import json
import math
import statistics
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bitwright.errors import RunError

RECIPE = "recipe.toml"
METRICS = "metrics.csv"
LAYERS = "layers.csv"
RESULTS = "results.json"
PACKED = "packed.json"  # what `bw eval --json` said of the packed file
PROBE = "probe.json"  # what `bw probe` said of the features
BENCH = "bench.json"  # what `bw bench --json` said of it

_NEEDED = {"accuracy": float, "epochs": int, "seconds": float, "seed": int}
_WORDS = ("title", "note", "seed", "machine")  # of a recipe, in which runs of one group may differ
_SWITCHES = {  # empty or 0: the table is off
    "pretext": "name",
    "detection": "size",
    "pruning": "name",
    "teacher": "source",
    "bayesian": "layer",
}
_ONE_SOURCE = ("cifar10", "cifar100", "mnist")  # kinds of data that are the same in every folder

Row = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """One run folder.

    Attributes:
        folder: The folder.
        recipe: The recipe as it was resolved.
        results: What `results.json` holds; of an interrupted run epochs, seconds and seed alone.
        metrics: A row for each epoch, those of several stages one after another.
        layers: A row for each binary layer and epoch, likewise; empty if the run has no such file.
        bytes: Of the packed file, where there is one.
        packed_accuracy: Accuracy of the packed file, where it was measured.
        ms_per_image: Time of the packed file for one image, where it was measured.
        linear: Accuracy of a linear classifier of the frozen features, where it was measured.
        neighbours: Accuracy of their nearest neighbours' vote, likewise.
        timed_on: The processor and how many threads, where that is known.
        bits_per_weight: Bits of the packed file for each binary weight, where it was measured.
        bops: Binary operations for one image by counting rule, where they were counted.
    """

    folder: Path
    recipe: Row
    results: Row
    metrics: tuple[Row, ...]
    layers: tuple[Row, ...]
    bytes: int | None
    packed_accuracy: float | None
    ms_per_image: float | None
    linear: float | None = None
    neighbours: float | None = None
    timed_on: str = ""
    bits_per_weight: float | None = None
    bops: Mapping[str, float] = field(default_factory=dict)

    @property
    def data(self) -> str:
        """The data set: its kind, and where that does not say all, its path."""
        source = str(self.recipe["data"]["source"])
        kind = source.partition(":")[0]
        return kind if kind in _ONE_SOURCE else source

    @property
    def task(self) -> str:
        """What the network's outputs say: "detection", the pretext of the last stage, or "labels"."""
        last = self.recipe["stages"][-1] if self.recipe.get("stages") else {}
        if {**self.recipe.get("detection", {}), **last.get("detection", {})}.get("size"):
            return "detection"
        return {**self.recipe.get("pretext", {}), **last.get("pretext", {})}.get("name") or "labels"

    @property
    def epochs(self) -> int:
        """Epochs done, in all stages."""
        stages = self.results.get("stages")
        return sum(stage["epochs"] for stage in stages) if stages else self.results["epochs"]

    @property
    def asked(self) -> int:
        """Epochs that the recipe asks for, in all stages."""
        whole = self.recipe["epochs"]
        return sum(stage.get("epochs", whole) for stage in self.recipe.get("stages", ())) or whole

    @property
    def short(self) -> bool:
        """Whether the recipe calls itself a short budget."""
        return bool(self.recipe.get("short"))

    @property
    def best(self) -> Row | None:
        """The epoch that judges best on the validation images: by its score, which heeds a budget, or its accuracy."""
        return max(self.metrics, key=lambda row: row.get("score", row["accuracy"]), default=None)


@dataclass(frozen=True)
class Group:
    """Runs of one recipe, each with another seed; at least one.

    Attributes:
        runs: The runs.
    """

    runs: tuple[Run, ...]

    @property
    def first(self) -> Run:
        """One of the runs, for what they share."""
        return self.runs[0]

    @property
    def accuracies(self) -> list[float]:
        """Share of the test images that each run classifies rightly; an interrupted run was not asked."""
        return [run.results["accuracy"] for run in self.runs if "accuracy" in run.results]

    @property
    def spread(self) -> float | None:
        """Sample standard deviation of the accuracies; None for one run."""
        return statistics.stdev(self.accuracies) if len(self.accuracies) > 1 else None

    def mean(self, value: Callable[[Run], float | None]) -> float | None:
        """The mean over the runs that have a value; None where none has.

        Args:
            value: Takes it from a run.
        """
        found = [x for x in map(value, self.runs) if x is not None and math.isfinite(x)]
        return statistics.fmean(found) if found else None


def read_run(folder: str | Path) -> Run:
    """Read a run folder; that of a run that was interrupted has the epochs that were whole.

    Args:
        folder: What `bw train` wrote; `packed.json` and `bench.json` beside its files are read too.

    Raises:
        RunError: If the folder is no run, no epoch of it is whole, or a file in it is damaged.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise RunError(f"{folder} is no folder; name run folders, which bw train writes")
    if not (folder / RECIPE).is_file():
        raise RunError(f"{folder} is no run, it has no {RECIPE}; name run folders, which bw train writes")
    recipe = _read_recipe(folder / RECIPE)
    stages = [folder / f"{number}-{stage['name']}" for number, stage in enumerate(recipe.get("stages", ()), start=1)]
    parts = [_read_rows(part / METRICS, ("epoch", "accuracy")) for part in stages or [folder]]
    metrics = _one_after_another(parts)
    if not metrics and not (folder / RESULTS).is_file():
        raise RunError(f"{folder} has neither {RESULTS} nor a whole epoch in {METRICS}: nothing to show yet")
    packed, bench, probed = (_read_json(folder / name) for name in (PACKED, BENCH, PROBE))
    return Run(
        folder=folder,
        recipe=recipe,
        results=_read_results(folder / RESULTS) or _interrupted(recipe, metrics),
        metrics=metrics,
        layers=_one_after_another([_read_rows(part / LAYERS, ("epoch", "layer")) for part in stages or [folder]]),
        bytes=packed.get("bytes", _packed_size(folder)),
        packed_accuracy=packed.get("accuracy"),
        ms_per_image=bench.get("bitwright", {}).get("median_ms") if bench.get("batch") == 1 else None,
        linear=probed.get("linear"),
        neighbours=probed.get("neighbours"),
        timed_on=f"{bench['cpu']}, threads: {bench.get('threads', 1)}" if bench.get("cpu") else "",
        bits_per_weight=packed.get("bits_per_weight"),
        bops=packed.get("counted", {}).get("bops", {}),
    )


def find_runs(root: str | Path) -> list[Path]:
    """The run folders below a folder, or the folder itself, in the order of their names.

    The stages of a run belong to it; a run without a whole epoch is passed over.

    Args:
        root: Where to look.
    """
    found = sorted(path.parent for path in Path(root).rglob(RECIPE))
    whole = [folder for folder in found if (folder / RESULTS).is_file() or any(folder.rglob(METRICS))]
    return [folder for folder in whole if folder.parent not in found]


def group_runs(runs: Iterable[Run]) -> list[Group]:
    """Put runs together whose recipes differ in nothing but seed, machine, title, note, and where the data set lies.

    Runs that did not get equally far stay apart. The order is that of the first run of each group.

    Args:
        runs: The runs.
    """
    groups: dict[str, list[Run]] = {}
    for run in runs:
        key = json.dumps([_said(run.recipe), run.data, run.epochs], sort_keys=True, default=str)
        groups.setdefault(key, []).append(run)
    return [Group(tuple(sorted(group, key=lambda run: run.results["seed"]))) for group in groups.values()]


def _said(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """What a recipe says of the training; what is switched off is left out, since older versions lack some of it."""
    said: dict[str, Any] = {}
    for key, value in recipe.items():
        if key in _WORDS or (key in _SWITCHES and not value.get(_SWITCHES[key])):
            continue
        if isinstance(value, Mapping) and key not in ("network", "method"):
            value = {name: setting for name, setting in value.items() if setting and (key, name) != ("data", "source")}
        if value and (key, value) != ("train", "all"):
            said[key] = value
    return said


def method_of(recipe: Mapping[str, Any]) -> str:
    """The method that a recipe is about: what comes after a training counts before the method that was trained by.

    Args:
        recipe: As TOML.
    """
    tables = (recipe, *recipe.get("stages", ()))
    return "stf_bnn" if any(table.get("bayesian", {}).get("layer") for table in tables) else recipe["method"]["name"]


def _read_recipe(path: Path) -> Row:
    try:
        recipe = tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # UnicodeDecodeError and TOMLDecodeError are
        raise RunError(f"{path}: expected a recipe, found no TOML: {error}") from error
    for table, key in (("data", "source"), ("network", "name"), ("method", "name")):
        if not isinstance(recipe.get(table), dict) or key not in recipe[table]:
            raise RunError(f"{path}: expected a recipe, found no {table}.{key}")
    if not isinstance(recipe.get("epochs"), int):
        raise RunError(f"{path}: expected a recipe, found no whole number of epochs")
    return recipe


def _read_results(path: Path) -> Row:
    """What a run came to; nothing where it was interrupted before that was known."""
    if not path.is_file():
        return {}
    results = _read_json(path)
    for key, kind in _NEEDED.items():
        value = results.get(key)
        if not isinstance(value, int | kind) or isinstance(value, bool):
            raise RunError(f"{path}: {key} must be a number, found {value!r}")
    return results


def _interrupted(recipe: Row, metrics: Sequence[Row]) -> Row:
    """What the rows of whole epochs say."""
    seconds = sum(row.get("seconds", 0.0) for row in metrics)
    return {"epochs": len(metrics), "seconds": seconds, "seed": recipe.get("seed", 0)}


def _read_json(path: Path) -> Row:
    """What a JSON file holds; nothing where there is none."""
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError are
        raise RunError(f"{path}: expected JSON: {error}") from error
    if not isinstance(content, dict):
        raise RunError(f"{path}: expected a JSON object, found {type(content).__name__}")
    return content


def _read_rows(path: Path, columns: Sequence[str]) -> list[Row]:
    """Rows of a CSV file, numbers as such; none where there is no file."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    try:
        return [{**{column: row[column] for column in columns}, **_numbers(row)} for row in rows]
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path}: expected the columns {', '.join(columns)} and numbers, found {error}") from error


def _numbers(row: Mapping[str, str]) -> Row:
    values = {key: value if key == "layer" else float(value) for key, value in row.items()}
    return {**values, "epoch": int(row["epoch"])}


def _one_after_another(parts: Sequence[list[Row]]) -> tuple[Row, ...]:
    """The rows of all stages, epochs counted on."""
    rows: list[Row] = []
    for part in parts:
        start = rows[-1]["epoch"] + 1 if rows else 0
        rows += [{**row, "epoch": start + row["epoch"]} for row in part]
    return tuple(rows)


def _packed_size(folder: Path) -> int | None:
    """Bytes of the packed file in a folder that holds exactly one."""
    files = list(folder.glob("*.bw"))
    return files[0].stat().st_size if len(files) == 1 else None
