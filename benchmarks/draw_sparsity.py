"""Draw time, file size and accuracy against sparsity for docs/benchmarks.md, and fill in its table, from measured rows.

Times and sizes are those of `bw bench --suite sparsity`, of each instruction set the last row of a network and density
with one thread and batch 1; accuracies are those of the run folders in recipes/. Needs what draw.py needs.

Example: python benchmarks/draw_sparsity.py
"""

from collections.abc import Mapping, Sequence
from math import exp, log, log10
from pathlib import Path

import plotly.graph_objects as go
import tyro
from draw import RESULTS, ROOT, STYLE, Row, fill, names, read_rows, select
from plotly.subplots import make_subplots

from bitwright.report import comparison
from bitwright.report.pareto import accuracy, family
from bitwright.report.runs import Group, find_runs, group_runs, read_run

ZOO = {"resnet20": "resnet20", "vgg_small": "vgg_small", "resnet18-32": "resnet18"}  # what a recipe calls a network
COLORS = ("#1f4e79", "#c55a11", "#548235", "#7030a0", "#7f6000", "#404040")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "star", "hexagon")


def main(
    results: Path = RESULTS, recipes: Path = ROOT / "recipes", page: Path = ROOT / "docs" / "benchmarks.md"
) -> None:
    """Write a plot for each network beside the page, in a folder of the page's name, and the table into the page.

    Args:
        results: The folder of sparsity.csv.
        recipes: The folder with run folders below.
        page: The page.
    """
    rows = read_rows(results / "sparsity.csv")
    groups = group_runs(map(read_run, find_runs(recipes)))
    folder = page.with_suffix("")
    folder.mkdir(exist_ok=True)
    parts = [table(rows)]
    for (item,) in names(rows, "item"):
        name = f"sparsity-{item}"
        plot(rows, item, [group for group in groups if of_network(group, item)]).write_image(folder / f"{name}.svg")
        parts.append(f"![{item}: time, file size and accuracy against sparsity]({folder.name}/{name}.svg)")
    page.write_text(fill(page.read_text(encoding="utf-8"), "sparsity", "\n\n".join(parts)), encoding="utf-8")


def settings(rows: Sequence[Row], item: str) -> list[list[Row]]:
    """Of each instruction set the last row of each density, from the densest on."""
    of_item = [row for row in rows if row["item"] == item]
    found = [select(of_item, isa, limits) for isa, limits in names(of_item, "isa", "environment")]
    return [sorted(last, key=lambda row: -float(row["density"])) for last in found]


def break_even(rows: Sequence[Row]) -> tuple[float | None, str]:
    """The density below which the network is faster than its dense twin at every density measured, and its words.

    Between the last density that is not faster and the first that is, the gain, log(twin's time / time), is taken for
    linear in the logarithm of the density. None where it lies outside what was measured.

    Args:
        rows: Of one network and instruction set, densities descending.
    """
    gains = [(float(row["density"]), log(float(row["ratio"]))) for row in rows]
    slower = [index for index, (_, gain) in enumerate(gains) if gain <= 0]
    if not slower:
        return None, f"above {100 * gains[0][0]:g} %"
    if slower[-1] == len(gains) - 1:
        return None, f"below {100 * gains[-1][0]:g} %"
    (dense, before), (sparse, after) = gains[slower[-1]], gains[slower[-1] + 1]
    share = -before / (after - before)
    density = exp(log(dense) + share * (log(sparse) - log(dense)))
    return density, f"{100 * density:.1f} %"


def table(rows: Sequence[Row]) -> str:
    """For each instruction set, times and sizes at each density, the dense twin's, and the break-even density."""
    densities = sorted({float(row["density"]) for row in rows}, reverse=True)
    head = ["", "dense twin", *(f"density {density:g}" for density in densities), "break-even density"]
    parts = []
    for isa, limits in names(rows, "isa", "environment"):
        lines = [head, ["---", *["--:"] * (len(head) - 1)]]
        first: Row = {}
        for (item,) in names(rows, "item"):
            for found in settings(rows, item):
                if (found[0]["isa"], found[0]["environment"]) == (isa, limits):
                    first = found[0]
                    lines += _lines(item, found, densities)
        about = f"{first['cpu']} ({first['vectors']}), {first['compiler']}, bitwright {first['bitwright']} {isa}"
        parts.append("\n".join([f"{about}, limits: {limits or 'none'}:", "", *(f"| {' | '.join(c)} |" for c in lines)]))
    return "\n\n".join(parts)


def _lines(item: str, found: Sequence[Row], densities: Sequence[float]) -> list[list[str]]:
    at: Mapping[float, Row] = {float(row["density"]): row for row in found}

    def cells(column: str, scale: float, form: str) -> list[str]:
        return [format(float(at[d][column]) / scale, form) if d in at else "" for d in densities]

    twin = f"{float(found[0]['peer_median_us']):.1f}"
    return [
        [f"{item}, us", twin, *cells("median_us", 1, ".1f"), break_even(found)[1]],
        [f"{item}, file in kB", f"{float(found[0]['dense_bytes']) / 1e3:.1f}", *cells("bytes", 1e3, ".1f"), ""],
        [f"{item}, bits a binary weight", "1", *cells("bits_per_weight", 1, ".3f"), ""],
    ]


def of_network(group: Group, item: str) -> bool:
    """Whether a group of runs trained this network, with binary weights, on CIFAR-10."""
    recipe = group.first.recipe
    real = recipe["method"]["name"] == comparison.FLOAT
    return not real and recipe["network"]["name"] == ZOO.get(item) and group.first.data == "cifar10"


def plot(rows: Sequence[Row], item: str, groups: Sequence[Group]) -> go.Figure:
    """Time and file size with the dense twin's, and accuracy where a method was trained at several densities."""
    trained = accuracies(groups)
    titles = ["time an image, us", "file, kB", *(["CIFAR-10 accuracy, %"] if trained else [])]
    figure = make_subplots(1, len(titles), subplot_titles=titles)
    notes = []
    for index, found in enumerate(settings(rows, item)):
        isa, color = found[0]["isa"], COLORS[index]
        x = [float(row["density"]) for row in found]
        _line(figure, 1, f"{isa}", x, [float(row["median_us"]) for row in found], color)
        _line(figure, 1, f"{isa}, dense twin", x, [float(row["peer_median_us"]) for row in found], color, "dash")
        density, words = break_even(found)
        notes.append(f"{isa} {words}")
        if density is not None:
            figure.add_vline(density, line={"color": color, "dash": "dot", "width": 1}, row=1, col=1)  # type: ignore[arg-type]
    last = settings(rows, item)[-1]
    x = [float(row["density"]) for row in last]
    _line(figure, 2, "file", x, [float(row["bytes"]) / 1e3 for row in last], COLORS[2])
    _line(figure, 2, "file, dense twin", x, [float(row["dense_bytes"]) / 1e3 for row in last], COLORS[2], "dash")
    for index, (name, points) in enumerate(trained.items()):
        x, y = (list(values) for values in zip(*points, strict=True))
        color, symbol = COLORS[(3 + index) % len(COLORS)], SYMBOLS[index % len(SYMBOLS)]
        _line(figure, 3, name, x, y, color, symbol=symbol)
    ticks = sorted({float(row["density"]) for row in rows})
    text = [f"{100 * (1 - tick):g}" for tick in ticks]
    ends = [log10(1.2 * ticks[-1]), log10(ticks[0] / 1.2)]
    figure.update_xaxes(type="log", range=ends, tickvals=ticks, ticktext=text, title="sparsity, %")
    figure.update_yaxes(rangemode="tozero", col=1)
    figure.update_yaxes(rangemode="tozero", col=2)
    title = f"{item}: faster than its dense twin below a density of: {'; '.join(notes)}"
    legend = {"orientation": "h", "y": -0.25}
    return figure.update_layout(**STYLE, title=title, legend=legend)


def _line(
    figure: go.Figure,
    column: int,
    name: str,
    x: list[float],
    y: list[float],
    color: str,
    dash: str = "solid",
    symbol: str = "circle",
) -> None:
    mode = "lines" if dash == "dash" else "lines+markers"
    line, marker = {"color": color, "dash": dash}, {"symbol": symbol, "size": 8}
    figure.add_scatter(name=name, x=x, y=y, mode=mode, line=line, marker=marker, row=1, col=column)


def accuracies(groups: Sequence[Group]) -> dict[str, list[tuple[float, float]]]:
    """Density and accuracy in percent, the mean of the seeds, of each method, network and number of epochs.

    Those that ran at a single density are left out.
    """
    series: dict[str, list[tuple[float, float]]] = {}
    for group, network in zip(groups, comparison.names(groups, "network"), strict=True):
        density, share = group.mean(lambda run: run.results.get("density")), group.mean(accuracy)
        if density and share is not None:
            name = f"{family(group)}, {network}, {group.first.epochs} epochs"
            series.setdefault(name, []).append((density, 100 * share))
    return {name: sorted(points) for name, points in series.items() if len(points) > 1}


if __name__ == "__main__":
    tyro.cli(main)
