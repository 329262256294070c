"""Write docs/methods.md and the page of every method, docs/methods/NAME.md, from the methods' own files.

Text, formulas, settings, deployed form and what was checked are the words of the docstrings; the picture is drawn from
the binarizer itself, and the results come from the run folders in recipes/. `make docs` calls it; a test says when text
is stale. Pictures need `pip install '.[plots]'` and Chrome or Chromium, as those of benchmarks/draw.py do.

Example: python docs/build_methods.py --no-pictures
"""

import re
import textwrap
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import tyro

from bitwright import methods
from bitwright.core.method import Method
from bitwright.methods.about import About, Part, activation_curves, describe_method, describe_parts
from bitwright.report.comparison import SHORT, compare
from bitwright.report.runs import Group, find_runs, group_runs, method_of, read_run
from bitwright.report.table import escape, to_markdown
from bitwright.train import Recipe, is_search, read_recipe, write_recipe

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

DOCS = Path(__file__).resolve().parent
RECIPES = DOCS.parent / "recipes"

_COLORS = ("#1f4e79", "#c55a11", "#548235")
_DASHES = ("solid", "dash", "dot")  # told apart in grey, too
_SIZE = (760, 280)  # pixels
_INDEX = """# Methods

Each method is one file in [src/bitwright/methods](../src/bitwright/methods) and fits any network:
`bw.binarize(net, bw.methods.NAME())`. `bw methods` shows this list in the terminal, `bw methods NAME` a page like those
behind the links. `bw report` compares training runs, as the tables of these pages do.
"""

_ON_TRAINED = """## For a network that is trained already

These take the network, not a layer: `bw.methods.NAME(net, ...)`.
"""
NAMES = (*methods.__all__, *methods.ON_TRAINED)


def main(pictures: bool = True) -> None:
    """Write the pages, and remove those of methods that are gone.

    Args:
        pictures: Whether to draw the pictures anew.
    """
    pages = build()
    for path in (DOCS / "methods").glob("*"):
        if path.stem not in NAMES:
            path.unlink()
    for name, text in pages.items():
        (DOCS / name).write_text(text, encoding="utf-8")
    if pictures:
        draw()


def build() -> dict[str, str]:
    """The text of every page, by its path below docs/."""
    groups = group_runs(read_run(folder) for folder in find_runs(RECIPES))
    files = [path for path in sorted(RECIPES.glob("*/*.toml")) if not is_search(path)]
    recipes = {path.relative_to(RECIPES).as_posix(): read_recipe(path) for path in files}
    found = {name: describe_method(getattr(methods, name)) for name in NAMES}
    lists = [index([found[name] for name in names]) for names in (methods.__all__, methods.ON_TRAINED)]
    pages = {"methods.md": "\n".join([_INDEX, lists[0], _ON_TRAINED, lists[1]])}
    for name, about in found.items():
        of_method = [group for group in groups if method_of(group.first.recipe) == name]
        own = {
            path: recipe for path, recipe in recipes.items() if method_of(tomllib.loads(write_recipe(recipe))) == name
        }
        parts = describe_parts(getattr(methods, name)()) if name in methods.__all__ else []
        pages[f"methods/{name}.md"] = page(about, parts, of_method, own)
    return pages


def index(found: Sequence[About]) -> str:
    """The table of all methods.

    Args:
        found: What their files say.
    """
    lines = ["| name | paper | what it changes | cost at inference |", "| --- | --- | --- | --- |"]
    for about in found:
        name = f"[{about.name}](methods/{about.name}.md)"
        cells = [name, *map(prose, (f"{about.title}, {about.venue}", about.changes, about.deployed))]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def page(about: About, parts: Sequence[Part], groups: Sequence[Group], recipes: Mapping[str, Recipe]) -> str:
    """The page of one method.

    Args:
        about: What its file says.
        parts: What it puts into a layer.
        groups: Its runs, by recipe.
        recipes: Its recipes, by their path below recipes/.
    """
    name = about.name
    source = f"[src/bitwright/methods/{name}.py](../../src/bitwright/methods/{name}.py)"
    sections = [
        "<!-- make docs writes this page from the method's file -->",
        f"# {prose(about.title)}",
        sentence(about.changes),
        paragraphs(about.text),
        f"{sentence(about.reference)} Source: {source}. [All methods](../methods.md).",
        *(formulas(name, parts) if parts else []),
        "## Settings",
        f"```python\n{about.call}\n```",
        paragraphs(about.summary),
        settings_table(about),
        "## Results",
        *results(groups, recipes),
        f"## Deployed\n\n{sentence(about.deployed)}",
        f"## What was checked, and what is a reconstruction\n\n{sentence(about.checked)}",
    ]
    return "\n\n".join(section.strip("\n") for section in sections if section) + "\n"


def formulas(name: str, parts: Sequence[Part]) -> list[str]:
    """The section of a page about what a method puts into a layer.

    Args:
        name: The method.
        parts: Its modules.
    """
    return [
        "## Formula",
        *map(formula, parts),
        f"![The input binarizer and its surrogate derivative]({name}.svg)",
        "The input binarizer and the derivative that the backward pass takes, at the initial parameters.",
    ]


def formula(part: Part) -> str:
    """What a method puts into a layer.

    Args:
        part: One of its modules.
    """
    first, _, rest = paragraphs(part.text).partition("\n\n")
    return "\n\n".join(filter(None, [f"**{part.role.capitalize()}**, `{part.name}`: {first}", rest]))


def settings_table(about: About) -> str:
    """What each argument means.

    Args:
        about: What the method's file says.
    """
    rows = [f"| `{setting.name}` | {prose(setting.meaning)} |" for setting in about.settings]
    return "\n".join(["| setting | meaning |", "| --- | --- |", *rows]) if rows else ""


def results(groups: Sequence[Group], recipes: Mapping[str, Recipe]) -> list[str]:
    """The table of the runs, links to their logs, and the recipes with what their sources state.

    Args:
        groups: The runs, by recipe.
        recipes: The recipes, by their path below recipes/.
    """
    parts = []
    stated = any(recipe.published is not None for recipe in recipes.values())
    if groups:
        folders = [run.folder.relative_to(RECIPES).as_posix() for group in groups for run in group.runs]
        parts.append(to_markdown(compare(groups)))
        parts.append(f"Logs: {', '.join(f'[{folder}](../../recipes/{folder})' for folder in folders)}.")
    else:
        parts.append(f"No run is recorded yet{': the figures below are published ones only' if stated else ''}.")
    if recipes:
        parts.append(recipe_table(recipes, stated))
    return parts


def recipe_table(recipes: Mapping[str, Recipe], stated: bool) -> str:
    """The recipes, and what the source of each states of its own network and its whole training.

    Args:
        recipes: The recipes, by their path below recipes/.
        stated: Whether any source states a figure.
    """
    columns = ["recipe", "epochs", *(["accuracy (published, full budget)", "source"] if stated else [])]
    lines = [f"| {' | '.join(columns)} |", f"| --- | --: |{' --: | --- |' if stated else ''}"]
    for path, recipe in recipes.items():
        epochs = sum(int(stage.get("epochs", recipe.epochs)) for stage in recipe.stages) or recipe.epochs
        cells = [
            f"[{prose(recipe.title)}](../../recipes/{path})",
            f"{epochs}, {SHORT}" if recipe.short else str(epochs),
        ]
        if stated:
            figure = recipe.published
            cells += ["", ""] if figure is None else [f"{100 * figure:.2f} %", prose(recipe.paper)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def draw() -> None:
    """Draw the picture of every method, all with one start of the browser."""
    import plotly.io

    names = list(methods.__all__)
    drawn = [picture(getattr(methods, name)()) for name in names]
    files = [DOCS / "methods" / f"{name}.svg" for name in names]
    plotly.io.write_images(drawn, [*files], width=_SIZE[0], height=_SIZE[1])
    for file in files:
        file.write_text(_without_lot(file.read_text(encoding="utf-8")), encoding="utf-8")


def _without_lot(text: str) -> str:
    """An SVG text less the name that plotly draws by lot, so that a picture that did not change stays as it is."""
    found = re.search(r'id="defs-([0-9a-f]{6})"', text)
    return text.replace(found.group(1), "plot") + "\n" if found else text


def picture(method: Method) -> "Figure":
    """The input binarizer beside its surrogate derivative.

    Args:
        method: The method.
    """
    from plotly.subplots import make_subplots

    torch.manual_seed(0)  # some binarizers begin with random parameters
    curves = activation_curves(method)
    figure = make_subplots(rows=1, cols=2, subplot_titles=["forward", "derivative"])
    alike = all(torch.equal(curve.forward, curves[0].forward) for curve in curves)
    for number, curve in enumerate(curves):
        look: dict[str, Any] = {
            "name": f"progress {curve.progress:g}",
            "x": curve.values.tolist(),
            "line": {"color": _COLORS[number], "dash": _DASHES[number]},
            "mode": "lines",
        }
        if number == 0 or not alike:
            figure.add_scatter(y=curve.forward.tolist(), uid=f"y{number}", showlegend=False, row=1, col=1, **look)
        figure.add_scatter(y=curve.slope.tolist(), uid=f"d{number}", showlegend=len(curves) > 1, row=1, col=2, **look)
    margin = {"l": 40, "r": 20, "t": 40, "b": 40}
    return figure.update_layout(template="simple_white", margin=margin, font={"size": 12})


def paragraphs(text: str) -> str:
    """A docstring's paragraphs as Markdown: indented ones are code.

    Args:
        text: The text.
    """
    return "\n\n".join(
        f"```python\n{textwrap.dedent(part)}\n```" if part.startswith("    ") else prose(part)
        for part in text.split("\n\n")
        if part
    )


def sentence(text: str) -> str:
    """Words as Markdown, the first letter large.

    Args:
        text: The words.
    """
    return prose(text[:1].upper() + text[1:])


def prose(text: str) -> str:
    """Plain words as Markdown on one line, code in backticks kept.

    Args:
        text: The words.
    """
    parts = re.split(r"(`[^`]+`)", text)
    return " ".join("".join(part if part.startswith("`") else escape(part) for part in parts).split())


if __name__ == "__main__":
    tyro.cli(main)
