"""What all commands share: JSON or tables on the standard output, and nothing else there; optional packages."""

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from bitwright.errors import BitwrightError


def print_json(result: Mapping[str, Any]) -> None:
    """Print one JSON object; NumPy numbers become plain ones, and what is not finite becomes null."""
    print(json.dumps(_plain(result), indent=2, allow_nan=False))


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], align: str = "lr") -> None:
    """Print a table.

    Args:
        title: The line above it.
        columns: The headings; all empty for none.
        rows: The cells, as text.
        align: A letter for each column: l for words, r for numbers.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=any(columns))
    for column, side in zip(columns, align, strict=True):
        table.add_column(column, justify="left" if side == "l" else "right", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))  # Text: brackets in a name are no markup
    console = Console()
    if not console.is_terminal:  # a file or a pipe has no width to keep to
        console = Console(width=1000)
    console.print(Text(title, style="bold"))
    console.print(table)


@contextlib.contextmanager
def only_json(wanted: bool) -> Iterator[None]:
    """While the work runs, send what it prints to the standard error stream if JSON is wanted on the other one."""
    with contextlib.redirect_stdout(sys.stderr) if wanted else contextlib.nullcontext():
        yield


def need(package: str, extra: str, purpose: str) -> None:
    """See that an optional package is there, or say in one line how to install it.

    Args:
        package: The module that will be imported.
        extra: The extra of bitwright that brings it.
        purpose: What needs it, the beginning of the message.

    Raises:
        BitwrightError: If it is not installed.
    """
    try:
        found = find_spec(package) is not None
    except ModuleNotFoundError:
        found = False
    if not found:
        raise BitwrightError(f'{purpose} needs {package}, which is not installed: pip install "bitwright[{extra}]"')


def percent(share: float | None) -> str:
    """A share as text, 0.1234 as 12.34 %; nothing for None."""
    return "" if share is None else f"{100 * share:.2f} %"


def count(number: float | None) -> str:
    """A whole number with thousands separated, 1,234; nothing for None."""
    return "" if number is None else f"{number:,.0f}"


def milliseconds(value: float) -> str:
    """A duration with three digits that count, 1.23 ms or 0.00123 ms."""
    return f"{value:#.3g} ms" if value < 1000 else f"{value:,.0f} ms"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float) and (value != value or abs(value) == float("inf")):
        return None
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)
