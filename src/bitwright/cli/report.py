"""`bw report`: training runs side by side, as a page, a table, and JSON."""

from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg

from bitwright.cli.arguments import Json
from bitwright.cli.output import need, print_json, print_table
from bitwright.report.comparison import compare, runs_page, to_json
from bitwright.report.page import write_page
from bitwright.report.pareto import DEFAULT_RULES, panels, pareto_page, pareto_table
from bitwright.report.pareto import to_json as panels_to_json
from bitwright.report.runs import find_runs, group_runs, read_run
from bitwright.report.table import to_markdown


def report(
    runs: Annotated[Positional[tuple[Path, ...]], arg(metavar="FOLDER [FOLDER ...]", help_behavior_hint="")],
    /,
    *,
    pareto: bool = False,
    rules: Annotated[tuple[str, ...], arg(metavar="NAME ...")] = DEFAULT_RULES,
    output: Annotated[Path, arg(metavar="FILE.html")] = Path("report.html"),
    markdown: Annotated[Path | None, arg(metavar="FILE.md", help_behavior_hint="")] = None,
    json: Json = False,
) -> None:
    """Compare training runs: a table, accuracy over the epochs, and what happened in each layer.

    Runs whose recipes differ in the seed alone become one row, with mean and spread. Of an interrupted run its whole
    epochs are shown.

    With --pareto, accuracy against the size of the packed file, binary operations and measured time, with the Pareto
    front: of what bw eval --json and bw bench --json said of the file, in packed.json and bench.json of the folder.

    Example: bw report runs --output report.html

    Example: bw report --pareto runs --rules fine_grained --output pareto.html

    Args:
        runs: Run folders, which bw train wrote, or folders with such folders below.
        pareto: Show accuracy and cost instead.
        rules: How --pareto counts binary operations; bw inspect --rules shows the rules.
        output: The page, one HTML file that needs no network.
        markdown: A file for the table as Markdown.
        json: Print one JSON object instead of a table.
    """
    if not runs:
        raise ValueError("expected run folders. Example: bw report runs")
    need("plotly", "report", "bw report")
    groups = group_runs(read_run(run) for folder in runs for run in find_runs(folder) or [folder])
    result: dict[str, Any] = {"groups": to_json(groups)}
    if pareto:
        found = panels(groups, rules)
        table, content = pareto_table(groups, found), pareto_page(groups, found)
        result["panels"] = panels_to_json(found)
    else:
        table, content = compare(groups), runs_page(groups)
    page = write_page(output, content)
    if markdown is not None:
        markdown.write_text(to_markdown(table), encoding="utf-8")
    if json:
        print_json({**result, "report": str(page.resolve())})
        return
    print_table(table.title, table.columns, table.rows, table.align)
    for line in (*table.notes, f"page: {page}"):
        print(line)
