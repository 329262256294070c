"""Fill the tables of the pages that compare runs, and draw their pictures, from the run folders in recipes/.

`make docs` calls it; a test says when a table is stale. Pictures need `pip install '.[plots]'` and Chrome or Chromium.

Example: python docs/build_runs.py --no-pictures
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from bitwright.report.comparison import compare, labels
from bitwright.report.runs import Group, group_runs, read_run
from bitwright.report.table import to_markdown

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

DOCS = Path(__file__).resolve().parent
RECIPES = DOCS.parent / "recipes"
PAGES = {"short-budget": "*/cifar10-resnet20-short", "sparse-domains": "domains/*"}

_BEGIN, _END = "<!-- runs: `make docs` fills this in -->", "<!-- end of runs -->"
_MEASURED, _STATED = "#1f4e79", "#c55a11"


def main(pictures: bool = True) -> None:
    """Write the tables into the pages, and the pictures beside them.

    Args:
        pictures: Whether to draw the pictures anew.
    """
    for name, pattern in PAGES.items():
        (DOCS / f"{name}.md").write_text(fill(name, pattern), encoding="utf-8")
        if pictures:
            draw(runs(pattern)).write_image(DOCS / f"{name}.svg")


def runs(pattern: str) -> list[Group]:
    """The runs of a page, the most accurate first.

    Args:
        pattern: Of their folders below recipes/.
    """
    folders = [path for path in sorted(RECIPES.glob(pattern)) if path.is_dir()]
    return sorted(group_runs(map(read_run, folders)), key=_accuracy, reverse=True)


def fill(name: str, pattern: str) -> str:
    """The text of a page with its table as the logs have it.

    Args:
        name: The page.
        pattern: Of its run folders below recipes/.
    """
    text = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    table = f"{_BEGIN}\n\n![Accuracy of the runs]({name}.svg)\n\n{to_markdown(compare(runs(pattern)))}\n{_END}"
    filled, places = re.subn(f"{re.escape(_BEGIN)}.*?{re.escape(_END)}", lambda _: table, text, flags=re.DOTALL)
    if places != 1:
        raise SystemExit(f"docs/{name}.md: expected one place {_BEGIN} ... {_END}, found {places}")
    return filled


def draw(groups: Sequence[Group]) -> "Figure":
    """A dot for the accuracy of each group, its seeds as small ones, and an open dot for what its source states.

    Args:
        groups: The runs, the most accurate first.
    """
    import plotly.graph_objects as go

    rows = labels(groups)
    seeds = [(label, 100 * share) for label, group in zip(rows, groups, strict=True) for share in group.accuracies]
    stated = [
        (label, 100 * group.first.recipe["published"])
        for label, group in zip(rows, groups, strict=True)
        if group.first.recipe.get("published") is not None
    ]
    figure = go.Figure()
    figure.add_scatter(
        x=[100 * _accuracy(group) for group in groups], y=rows, mode="markers", uid="measured",
        marker={"color": _MEASURED, "size": 11}, name="measured, short budget",
    )  # fmt: skip
    if len(seeds) > len(groups):
        figure.add_scatter(
            x=[x for _, x in seeds], y=[y for y, _ in seeds], mode="markers", uid="seeds",
            marker={"color": _MEASURED, "size": 10, "symbol": "line-ns-open"}, name="each seed",
        )  # fmt: skip
    if stated:
        figure.add_scatter(
            x=[x for _, x in stated], y=[y for y, _ in stated], mode="markers", uid="stated",
            marker={"color": _STATED, "size": 11, "symbol": "diamond-open"}, name="published, whole training",
        )  # fmt: skip
    figure.update_yaxes(categoryorder="array", categoryarray=rows[::-1], showgrid=True)
    figure.update_xaxes(title="accuracy on the test images of CIFAR-10, %", showgrid=True)
    legend = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}
    return figure.update_layout(
        template="simple_white", width=760, height=110 + 26 * len(rows), legend=legend, font={"size": 12},
        margin={"l": 20, "r": 20, "t": 40, "b": 50},
    )  # fmt: skip


def _accuracy(group: Group) -> float:
    return group.mean(lambda run: run.results.get("accuracy")) or 0.0


if __name__ == "__main__":
    tyro.cli(main)
