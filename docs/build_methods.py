"""Write the page of every method, docs/methods/NAME.md, and their index docs/methods.md, from the methods' own files.

Text, formulas, settings, deployed form and what was checked are the words of the docstrings; the picture is drawn from
the binarizer itself, and the results come from the run folders in recipes/. Run it by `make docs` after a change there.
"""

import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from bitwright import methods
from bitwright.core.method import Method
from bitwright.methods.about import (
    About,
    Part,
    Setting,
    activation_curves,
    describe_method,
    describe_parts,
    describe_settings,
)
from bitwright.report.comparison import compare
from bitwright.report.runs import Group, find_runs, group_runs, read_run
from bitwright.report.svg import Line, Panel, draw_panels
from bitwright.report.table import escape, to_markdown
from bitwright.train import read_recipe

DOCS = Path(__file__).resolve().parent
RECIPES = DOCS.parent / "recipes"

_INDEX = """# Methods

Each method is one file in [src/bitwright/methods](../src/bitwright/methods) and fits any network:
`bw.binarize(net, bw.methods.NAME())`. `bw methods NAME` shows a page like these in the terminal.
"""


@dataclass(frozen=True)
class Recipe:
    """A recipe file: what it is called, where it lies below recipes/, and the method it names."""

    title: str
    path: str
    method: str


def main() -> None:
    """Write the pages, and remove those of methods that are gone."""
    pages = build()
    for path in (DOCS / "methods").glob("*"):
        if path.relative_to(DOCS).as_posix() not in pages:
            path.unlink()
    for name, text in pages.items():
        path = DOCS / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")


def build() -> dict[str, str]:
    """The text of every file, by its path below docs/."""
    groups = group_runs(read_run(folder) for folder in find_runs(RECIPES))
    recipes = find_recipes(RECIPES)
    found = {name: describe_method(getattr(methods, name)) for name in methods.__all__}
    pages = {"methods.md": _INDEX + "\n" + index(list(found.values()))}
    for name, about in found.items():
        function = getattr(methods, name)
        of_method = [group for group in groups if group.first.recipe["method"]["name"] == name]
        pages[f"methods/{name}.md"] = page(function, about, of_method, [r for r in recipes if r.method == name])
        pages[f"methods/{name}.svg"] = picture(function())
    return pages


def find_recipes(root: Path) -> list[Recipe]:
    """The recipe files in the folders of a folder, in the order of their paths.

    Args:
        root: The folder.
    """
    read = [(path, read_recipe(path)) for path in sorted(root.glob("*/*.toml"))]
    return [Recipe(r.title, path.relative_to(root).as_posix(), r.method.name) for path, r in read]


def index(found: Sequence[About]) -> str:
    """The table of all methods.

    Args:
        found: What their files say.
    """
    lines = ["| name | year | what it changes | deployed | checked |", "| --- | --- | --- | --- | --- |"]
    for about in found:
        name = f"[{about.name}](methods/{about.name}.md)"
        cells = [name, str(about.year), *map(prose, (about.changes, about.deployed, about.checked))]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def page(function: Callable[..., Method], about: About, groups: Sequence[Group], recipes: Sequence[Recipe]) -> str:
    """The page of one method.

    Args:
        function: The method.
        about: What its file says.
        groups: Its runs, by recipe.
        recipes: Its recipe files.
    """
    name = about.name
    source = f"[src/bitwright/methods/{name}.py](../../src/bitwright/methods/{name}.py)"
    summary, settings = describe_settings(function)
    sections = [
        "<!-- make docs writes this page from the method's file -->",
        f"# {prose(about.title)}",
        sentence(about.changes),
        paragraphs(about.text),
        f"Source: {source}. [All methods](../methods.md).",
        "## Formula",
        *map(formula, describe_parts(function())),
        f"![The input binarizer and its surrogate derivative]({name}.svg)",
        "The input binarizer and the derivative that the backward pass takes, at the initial parameters.",
        "## Settings",
        f"```python\n{call(name, settings)}\n```",
        paragraphs(summary),
        settings_table(settings),
        "## Results",
        results(groups, recipes),
        f"## Deployed\n\n{sentence(about.deployed)}",
        f"## Checked\n\n{sentence(about.checked)}",
        f"## Reference\n\n{sentence(about.reference)}",
    ]
    return "\n\n".join(section.strip("\n") for section in sections if section) + "\n"


def formula(part: Part) -> str:
    """What a method puts into a layer.

    Args:
        part: One of its modules.
    """
    first, _, rest = paragraphs(part.text).partition("\n\n")
    return "\n\n".join(filter(None, [f"**{part.role.capitalize()}**, `{part.name}`: {first}", rest]))


def call(name: str, settings: Sequence[Setting]) -> str:
    """The call that makes the method, with its defaults; one argument a line where it would be long.

    Args:
        name: The method.
        settings: Its arguments.
    """
    arguments = [f"{setting.name}={setting.default.replace(chr(39), chr(34))}" for setting in settings]
    line = f"bw.methods.{name}({', '.join(arguments)})"
    return line if len(line) <= 100 else "\n".join([f"bw.methods.{name}(", *(f"    {a}," for a in arguments), ")"])


def settings_table(settings: Sequence[Setting]) -> str:
    """What each argument means.

    Args:
        settings: The arguments.
    """
    if not settings:
        return ""
    rows = [f"| `{setting.name}` | {prose(setting.meaning)} |" for setting in settings]
    return "\n".join(["| setting | meaning |", "| --- | --- |", *rows])


def results(groups: Sequence[Group], recipes: Sequence[Recipe]) -> str:
    """The table of the runs, and links to their folders and to the recipes.

    Args:
        groups: The runs, by recipe.
        recipes: The recipe files.
    """
    parts = []
    if groups:
        folders = [run.folder.relative_to(RECIPES).as_posix() for group in groups for run in group.runs]
        parts.append(to_markdown(compare(groups)))
        parts.append(f"Logs: {', '.join(f'[{folder}](../../recipes/{folder})' for folder in folders)}.")
    else:
        parts.append("No run is recorded yet.")
    if recipes:
        lines = [f"- [{recipe.path}](../../recipes/{recipe.path}): {prose(recipe.title)}" for recipe in recipes]
        parts.append("\n".join(["Recipes:", "", *lines]))
    return "\n\n".join(part.strip("\n") for part in parts)


def picture(method: Method) -> str:
    """An SVG of the input binarizer and its surrogate derivative.

    Args:
        method: The method.
    """
    torch.manual_seed(0)  # some binarizers begin with random parameters
    curves = activation_curves(method)
    names = [f"progress {curve.progress:g}" if len(curves) > 1 else "" for curve in curves]
    x = curves[0].values.tolist()
    forward = [curve.forward.tolist() for curve in curves]
    alike = all(values == forward[0] for values in forward)
    first = [Line("", x, forward[0])] if alike else [Line(n, x, y) for n, y in zip(names, forward, strict=True)]
    second = [Line(n, x, curve.slope.tolist()) for n, curve in zip(names, curves, strict=True)]
    return draw_panels([Panel("forward", first), Panel("derivative", second)])


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
    main()
