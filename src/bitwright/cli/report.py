"""`bw report`: training runs side by side, as a page, a table, and JSON."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from bitwright.cli.arguments import Json
from bitwright.cli.output import need, print_json, print_table
from bitwright.report.comparison import compare, runs_page, to_json
from bitwright.report.page import write_page
from bitwright.report.runs import find_runs, group_runs, read_run
from bitwright.report.table import to_markdown


def report(
    runs: Annotated[Positional[tuple[Path, ...]], arg(metavar="FOLDER [FOLDER ...]", help_behavior_hint="")],
    /,
    *,
    output: Annotated[Path, arg(metavar="FILE.html")] = Path("report.html"),
    markdown: Annotated[Path | None, arg(metavar="FILE.md", help_behavior_hint="")] = None,
    json: Json = False,
) -> None:
    """Compare training runs: a table, accuracy over the epochs, and what happened in each layer.

    Runs whose recipes differ in the seed alone become one row, with mean and spread. Of an interrupted run its whole
    epochs are shown.

    Example: bw report runs --output report.html

    Args:
        runs: Run folders, which bw train wrote, or folders with such folders below.
        output: The page, one HTML file that needs no network.
        markdown: A file for the table as Markdown.
        json: Print one JSON object instead of a table.
    """
    if not runs:
        raise ValueError("expected run folders. Example: bw report runs")
    need("plotly", "report", "bw report")
    groups = group_runs(read_run(run) for folder in runs for run in find_runs(folder) or [folder])
    table = compare(groups)
    page = write_page(output, runs_page(groups))
    if markdown is not None:
        markdown.write_text(to_markdown(table), encoding="utf-8")
    if json:
        print_json({"groups": to_json(groups), "report": str(page.resolve())})
        return
    print_table(table.title, table.columns, table.rows, table.align)
    for line in (*table.notes, f"page: {page}"):
        print(line)
