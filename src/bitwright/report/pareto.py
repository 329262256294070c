"""Accuracy against what a network costs: bytes of its file, binary operations by named rules, and measured time."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import isfinite
from pathlib import Path
from typing import Any

from bitwright.errors import FormatError
from bitwright.format.reader import read
from bitwright.ir.parts import parts_of_graph
from bitwright.ir.rules import RULES, apply_rules
from bitwright.report.comparison import FLOAT, labels, names
from bitwright.report.page import Page
from bitwright.report.runs import Group, Run
from bitwright.report.scatter import Point, Scatter, find_front
from bitwright.report.table import Table

BOP_RULES = {rule.name: rule for rule in RULES if rule.counts == "BOPs"}
FRONT = "●"
DEFAULT_RULES = ("fine_grained", "shared_patterns")

_INTRODUCTION = (
    "Accuracy on the test images against what a network costs. Runs that differ in their seed alone are one point, the "
    "mean, with bars of a sample standard deviation to both sides. Filled points, joined by the dashed line, are on "
    "the Pareto front: no other network of the picture is as accurate at as low a cost, and better in one of them. "
    "Numbers are those of the table."
)


@dataclass(frozen=True)
class Cost:
    """Something that a network costs.

    Attributes:
        key: Its name in JSON.
        title: Its name in pictures and tables.
        unit: Of the figures that are shown.
        scale: How much of it is one such unit.
        value: Takes it from a run; None where nothing says it.
        missing: Why it may be missing, and what brings it.
    """

    key: str
    title: str
    unit: str
    scale: float
    value: Callable[[Run], float | None]
    missing: str


@dataclass(frozen=True)
class Panel:
    """One picture: a cost, of the networks of one data set.

    Attributes:
        cost: The cost.
        data: The data set.
        points: By the number of the group, from 1.
        absent: The numbers of those left out, each with the reason.
    """

    cost: Cost
    data: str
    points: Mapping[int, Point]
    absent: Mapping[int, str]


def costs(rules: Sequence[str] = DEFAULT_RULES) -> list[Cost]:
    """Bytes, binary operations by each of some rules, and time.

    Args:
        rules: Names of rules for BOPs, see `bitwright.ir.rules`.

    Raises:
        ValueError: If there is no such rule.
    """
    for rule in rules:
        if rule not in BOP_RULES:
            raise ValueError(f"rules: expected some of {', '.join(BOP_RULES)}, found {rule!r}")
    size = Cost("bytes", "file size", "kB", 1e3, lambda run: run.bytes, "no size: bw eval --json > packed.json")
    time = Cost(
        "ms_per_image",
        "time an image",
        "ms",
        1,
        lambda run: run.ms_per_image,
        "no time of one image: bw bench --against torch --json > bench.json",
    )
    return [size, *map(_operations, dict.fromkeys(rules)), time]


def panels(groups: Sequence[Group], rules: Sequence[str] = DEFAULT_RULES) -> list[Panel]:
    """One panel for each cost and data set, points with the Pareto front among them.

    Args:
        groups: The runs, by recipe.
        rules: Names of rules for BOPs.

    Raises:
        ValueError: If there is no such rule.
    """
    sets = dict.fromkeys(group.first.data for group in groups)
    return [_panel(groups, cost, data) for data in sets for cost in costs(rules)]


def pareto_table(groups: Sequence[Group], found: Sequence[Panel]) -> Table:
    """A row for each group with all its costs; those by which it is on a front are marked.

    Args:
        groups: The runs, by recipe.
        found: Their panels.
    """
    shown = list({panel.cost.key: panel.cost for panel in found}.values())
    columns = ["", "method", "network", "data", "seeds", "accuracy", "density", "bits a weight"]
    columns += [f"{cost.title}, {cost.unit}" for cost in shown]
    networks = names(groups, "network")
    rows = [
        _row(number, group, label, network, shown, found)
        for number, (group, label, network) in enumerate(zip(groups, labels(groups), networks, strict=True), start=1)
    ]
    table = Table("Networks", columns, rows, "rlllrrrr" + "r" * len(shown), _notes(groups, found))
    return table.without_empty_columns()


def pareto_page(groups: Sequence[Group], found: Sequence[Panel]) -> Page:
    """The page of `bw report --pareto`.

    Args:
        groups: The runs, by recipe.
        found: Their panels.
    """
    several = len({panel.data for panel in found}) > 1
    pictures = [
        Scatter(
            f"Accuracy against {panel.cost.title}{f', {panel.data}' if several else ''}",
            f"{panel.cost.title}, {panel.cost.unit}",
            "accuracy, %",
            list(panel.points.values()),
            [f"Left out: {_absent(panel)}."] if panel.absent else [],
        )
        for panel in found
    ]
    return Page("Accuracy and cost", _INTRODUCTION, tables=[pareto_table(groups, found)], scatters=pictures)


def to_json(found: Sequence[Panel]) -> list[dict[str, Any]]:
    """The panels as numbers: accuracies are shares of one, costs in bytes, operations and milliseconds.

    Args:
        found: The panels.
    """
    return [
        {
            "cost": panel.cost.key,
            "data": panel.data,
            "points": [
                {
                    "number": number,
                    "label": point.label,
                    "cost": point.x * panel.cost.scale,
                    "accuracy": point.y / 100,
                    "accuracy_spread": None if point.y_spread is None else point.y_spread / 100,
                    "on_the_front": point.best,
                }
                for number, point in panel.points.items()
            ],
            "absent": [{"number": number, "reason": reason} for number, reason in panel.absent.items()],
        }
        for panel in found
    ]


def accuracy(run: Run) -> float | None:
    """Accuracy of the packed file where it was measured, else of the trained network.

    Args:
        run: The run.
    """
    return run.results.get("accuracy") if run.packed_accuracy is None else run.packed_accuracy


def family(group: Group) -> str:
    """The method without its options, and what prunes.

    Args:
        group: Runs of one recipe.
    """
    method, pruning = group.first.recipe["method"]["name"], group.first.recipe.get("pruning", {}).get("name")
    return ", ".join(filter(None, ["float32" if method == FLOAT else method, pruning]))


def _operations(rule: str) -> Cost:
    def counted(run: Run) -> float | None:
        bops = run.bops.get(rule)
        return _from_file(run, rule) if bops is None else bops

    absent = "BOPs were not counted: bw eval --json > packed.json, or the packed file in the folder"
    return Cost(rule, f"BOPs ({rule})", "millions", 1e6, counted, absent)


def _from_file(run: Run, rule: str) -> float | None:
    """Binary operations of the one packed file in a folder; None if there is none, or several, or it is damaged."""
    files = list(run.folder.glob("*.bw"))
    try:
        return _operations_of(files[0], files[0].stat().st_mtime_ns)[rule] if len(files) == 1 else None
    except FormatError:
        return None


@lru_cache
def _operations_of(file: Path, written: int) -> Mapping[str, float]:
    return apply_rules(parts_of_graph(read(file))).bops


def _panel(groups: Sequence[Group], cost: Cost, data: str) -> Panel:
    points, absent = {}, {}
    for number, (group, label) in enumerate(zip(groups, labels(groups), strict=True), start=1):
        if group.first.data != data:
            continue
        x, y = _values(group, cost.value), _values(group, accuracy)
        if not y:
            absent[number] = "no accuracy: the run was interrupted"
        elif not x:
            absent[number] = cost.missing
        elif statistics.fmean(x) <= 0:
            absent[number] = "no binary operations"
        else:
            shown = [value / cost.scale for value in x], [100 * value for value in y]
            (mean_x, spread_x), (mean_y, spread_y) = map(_mean_and_spread, shown)
            points[number] = Point(number, label, family(group), mean_x, mean_y, spread_x, spread_y)
    best = find_front([(point.x, point.y) for point in points.values()])
    marked = {number: replace(points[number], best=good) for number, good in zip(points, best, strict=True)}
    return Panel(cost, data, marked, absent)


def _values(group: Group, value: Callable[[Run], float | None]) -> list[float]:
    return [x for x in map(value, group.runs) if x is not None and isfinite(x)]


def _mean_and_spread(values: Sequence[float]) -> tuple[float, float | None]:
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


def _row(
    number: int, group: Group, label: str, network: str, shown: Sequence[Cost], found: Sequence[Panel]
) -> list[str]:
    mean, spread = _mean_and_spread([100 * x for x in _values(group, accuracy)] or [float("nan")])
    bits = group.mean(lambda run: run.bits_per_weight)
    real = group.first.recipe["method"]["name"] == FLOAT
    density = None if real else group.mean(lambda run: run.results.get("density"))
    points = {panel.cost.key: panel.points[number] for panel in found if number in panel.points}
    return [
        str(number),
        label,
        network,
        group.first.data,
        str(len(group.runs)),
        "" if mean != mean else f"{mean:.2f} %" + ("" if spread is None else f" ± {spread:.2f}"),
        "" if density is None else f"{100 * density:.2f} %",
        "" if bits is None else f"{bits:.3f}",
        *(_figure(points.get(cost.key)) for cost in shown),
    ]


def _figure(point: Point | None) -> str:
    """Four digits that count, and a mark where the point is on the front."""
    if point is None:
        return ""
    return f"{point.x:#.4g}".rstrip(".") + (f"\N{NO-BREAK SPACE}{FRONT}" if point.best else "")


def _notes(groups: Sequence[Group], found: Sequence[Panel]) -> list[str]:
    shown = [BOP_RULES[panel.cost.key] for panel in found if panel.cost.key in BOP_RULES]
    notes = [f"{FRONT} marks costs for which no other network is as accurate at as low a cost: the Pareto front."]
    notes += [f"BOPs ({rule.name}): {rule.formula}, for one image; {rule.source}." for rule in dict.fromkeys(shown)]
    machines = sorted({run.timed_on for group in groups for run in group.runs if run.ms_per_image and run.timed_on})
    if machines:
        apart = (
            "Times are of several machines or settings, and not to be compared: " if len(machines) > 1 else "Timed on "
        )
        notes.append(f"{apart}{'; '.join(machines)}.")
    left = [f"against {panel.cost.title}, {_absent(panel)}" for panel in found if panel.absent]
    return [*notes, f"Left out: {'; '.join(left)}."] if left else notes


def _absent(panel: Panel) -> str:
    """The numbers of those left out, by reason."""
    reasons = dict.fromkeys(panel.absent.values())
    return "; ".join(
        f"{', '.join(str(n) for n, why in panel.absent.items() if why == reason)} ({reason})" for reason in reasons
    )
