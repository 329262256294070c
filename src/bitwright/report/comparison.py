"""Training runs side by side: one table, their accuracy over the epochs, and what happened in their layers."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bitwright.report.page import LayerMaps, Page
from bitwright.report.runs import Group, Run
from bitwright.report.table import Table

MEASURED = "accuracy (measured, this budget)"
PUBLISHED = "accuracy (published, full budget)"
SHORT = "short budget"
FLOAT = "none"  # what a recipe calls the method of a float network

_COLUMNS = (
    ("run", "l"),
    ("method", "l"),
    ("network", "l"),
    ("data", "l"),
    ("epochs", "r"),
    ("seed", "r"),
    ("best epoch, validation", "r"),
    (MEASURED, "r"),
    (PUBLISHED, "r"),
    ("density", "r"),
    ("file, bytes", "r"),
    ("accuracy of the file", "r"),
    ("ms an image", "r"),
    ("training, s", "r"),
)
_MAPS = {
    "flips, share of weights": "flips",
    "dead weights, share": "dead",
    "balance, P(+1) of the inputs": "balance",
    "open gates, share": "open",
    "gradient mismatch, 1 - cos": "mismatch",
}
_INTRODUCTION = (
    f"{MEASURED.capitalize()}: share of the test images, by the weights that the run kept. {PUBLISHED.capitalize()}: "
    "what the source states for its own network and its whole training. Best epoch: accuracy on the validation images, "
    "by which the weights are chosen."
)


def compare(groups: Sequence[Group], title: str = "Runs") -> Table:
    """One row for each group; columns that would be empty are left out.

    Args:
        groups: The runs, by recipe.
        title: The heading.
    """
    recipes = [group.first.recipe for group in groups]
    sources = list(dict.fromkeys(str(r["paper"]) for r in recipes if "published" in r and r.get("paper")))
    methods, networks = names(groups, "method"), names(groups, "network")
    rows = [_row(*found, sources) for found in zip(groups, methods, networks, strict=True)]
    notes = [f"[{number}] {source}" for number, source in enumerate(sources, start=1)]
    if any(group.spread is not None for group in groups):
        notes.append("Several seeds: mean, ± the sample standard deviation of the accuracy.")
    if any(group.first.short for group in groups):
        notes.append(f"{SHORT.capitalize()}: far less than the source's training; no attempt to reach its figure.")
    if any(group.first.epochs < group.first.asked for group in groups):
        notes.append("Epochs of so many: interrupted, or stopped early; the rest was not run.")
    columns, align = [name for name, _ in _COLUMNS], "".join(side for _, side in _COLUMNS)
    return Table(title, columns, rows, align, notes).without_empty_columns()


def runs_page(groups: Sequence[Group]) -> Page:
    """The page of `bw report`.

    Args:
        groups: The runs, by recipe.
    """
    labelled = dict(zip(labels(groups), groups, strict=True))
    curves = {
        title: {label: line for label, group in labelled.items() if (line := _curve(group, key))}
        for title, key in {"Validation accuracy, %": "accuracy", "Training accuracy, %": "train_accuracy"}.items()
    }
    return Page(
        title="Training runs",
        introduction=_INTRODUCTION,
        tables=[compare(groups)],
        curves={title: lines for title, lines in curves.items() if lines},
        layers=[maps for label, group in labelled.items() if (maps := _layer_maps(label, group))],
    )


def to_json(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """The groups as numbers; accuracies and densities are shares of one.

    Args:
        groups: The runs, by recipe.
    """
    return [
        {
            "label": label,
            "method": group.first.recipe["method"],
            "network": group.first.recipe["network"],
            "data": group.first.data,
            "epochs": group.first.epochs,
            "epochs_of_recipe": group.first.asked,
            "short": group.first.short,
            "seeds": [run.results["seed"] for run in group.runs],
            "accuracies": group.accuracies,
            "accuracy": group.mean(lambda run: run.results.get("accuracy")),
            "accuracy_spread": group.spread,
            "best_validation_accuracy": group.mean(_best_accuracy),
            "published": group.first.recipe.get("published"),
            "paper": group.first.recipe.get("paper", ""),
            "density": group.mean(lambda run: run.results.get("density")),
            "bytes": group.mean(lambda run: run.bytes),
            "packed_accuracy": group.mean(lambda run: run.packed_accuracy),
            "ms_per_image": group.mean(lambda run: run.ms_per_image),
            "seconds": group.mean(lambda run: run.results["seconds"]),
            "runs": [str(run.folder) for run in group.runs],
        }
        for label, group in zip(labels(groups), groups, strict=True)
    ]


def names(groups: Sequence[Group], table: str) -> list[str]:
    """What a table of the recipe chooses, with the options in which those of the same name differ.

    Args:
        groups: The runs, by recipe.
        table: "method" or "network".
    """
    choices = [group.first.recipe[table] for group in groups]
    return [_name(choice, [other for other in choices if other["name"] == choice["name"]]) for choice in choices]


def labels(groups: Sequence[Group]) -> list[str]:
    """A short name for each group, all different: its method; where that is not enough, its folder too.

    Args:
        groups: The runs, by recipe.
    """
    found = names(groups, "method")
    for more in (names(groups, "network"), [group.first.folder.name for group in groups]):
        found = [
            label if found.count(label) == 1 else f"{label}, {extra}" for label, extra in zip(found, more, strict=True)
        ]
    return [
        label if found.count(label) == 1 else str(group.first.folder)
        for label, group in zip(found, groups, strict=True)
    ]


def _name(choice: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> str:
    keys = [key for other in others for key in other if key != "name"]
    differing = [key for key in dict.fromkeys(keys) if len({json.dumps(other.get(key)) for other in others}) > 1]
    options = [f"{key}={choice[key]}" for key in differing if key in choice]
    return " ".join(["float32" if choice["name"] == FLOAT else str(choice["name"]), *options])


def _row(group: Group, method: str, network: str, sources: Sequence[str]) -> list[str]:
    first = group.first
    published, source = _percent(first.recipe.get("published")), first.recipe.get("paper")
    accuracy = _percent(group.mean(lambda run: run.results.get("accuracy")))
    return [
        ", ".join(run.folder.name for run in group.runs),
        method,
        network,
        first.data,
        _epochs(first),
        ", ".join(str(run.results["seed"]) for run in group.runs),
        _best(group),
        accuracy if group.spread is None else f"{accuracy} ± {100 * group.spread:.2f}",
        f"{published} [{sources.index(source) + 1}]" if published and source else published,
        "" if first.recipe["method"]["name"] == FLOAT else _percent(group.mean(lambda run: run.results.get("density"))),
        _count(group.mean(lambda run: run.bytes)),
        _percent(group.mean(lambda run: run.packed_accuracy)),
        f"{ms:.3g}" if (ms := group.mean(lambda run: run.ms_per_image)) is not None else "",
        _count(group.mean(lambda run: run.results["seconds"])),
    ]


def _epochs(run: Run) -> str:
    done = str(run.epochs) if run.epochs >= run.asked else f"{run.epochs} of {run.asked}"
    return f"{done}, {SHORT}" if run.short else done


def _best(group: Group) -> str:
    """Of one run its best epoch, of several the mean of their best accuracies."""
    accuracy, only = _percent(group.mean(_best_accuracy)), group.first.best
    return f"{accuracy} (epoch {only['epoch'] + 1})" if len(group.runs) == 1 and only else accuracy


def _best_accuracy(run: Run) -> float | None:
    return run.best["accuracy"] if run.best else None


def _curve(group: Group, key: str) -> list[tuple[float, float]]:
    """The mean over the seeds of a column of the metrics, in percent, epochs counted from 1."""
    shares = [{row["epoch"]: row[key] for row in run.metrics if key in row} for run in group.runs]
    epochs = sorted({epoch for of_run in shares for epoch in of_run})
    return [(epoch + 1, 100 * float(np.mean([s[epoch] for s in shares if epoch in s]))) for epoch in epochs]


def _layer_maps(label: str, group: Group) -> LayerMaps | None:
    rows = [row for run in group.runs for row in run.layers]
    layers, last = list(dict.fromkeys(row["layer"] for row in rows)), max((row["epoch"] for row in rows), default=0)
    if not layers:
        return None
    place = {layer: index for index, layer in enumerate(layers)}
    maps = {}
    for title, key in _MAPS.items():
        total, count = np.zeros((2, len(layers), last + 1))
        for row in rows:
            value = row.get(key, np.nan)
            if np.isfinite(value):
                total[place[row["layer"]], row["epoch"]] += value
                count[place[row["layer"]], row["epoch"]] += 1
        if count.any():
            maps[title] = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
    seeds = f", mean of {len(group.runs)} seeds" if len(group.runs) > 1 else ""
    return LayerMaps(f"{label}: layers by epoch{seeds}", layers, maps)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.2f} %"


def _count(number: float | None) -> str:
    return "" if number is None else f"{number:,.0f}"
