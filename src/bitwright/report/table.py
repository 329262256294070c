"""A table of words and numbers, as HTML and as Markdown."""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Cells as text.

    Args:
        title: The heading.
        columns: The headings of the columns.
        rows: A cell for each column.
        align: A letter for each column: l for words, r for numbers.
        notes: What the reader must know of the figures, a paragraph each.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    align: str
    notes: Sequence[str] = ()

    def without_empty_columns(self) -> "Table":
        """The same table, less the columns in which no row has anything."""
        kept = [index for index in range(len(self.columns)) if any(row[index] for row in self.rows)]
        rows = [[row[index] for index in kept] for row in self.rows]
        align = "".join(self.align[index] for index in kept)
        return Table(self.title, [self.columns[index] for index in kept], rows, align, self.notes)


def to_html(table: Table) -> str:
    """A section of a page.

    Args:
        table: The table.
    """
    head = "".join(f"<th>{html.escape(column)}</th>" for column in table.columns)
    rows = "".join(f"<tr>{''.join(map(_cell, row, table.align))}</tr>" for row in table.rows)
    notes = "".join(f'<p class="note">{html.escape(note)}</p>' for note in table.notes)
    body = f'<table class="wide"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
    return f"<h2>{html.escape(table.title)}</h2>{body}{notes}"


def to_markdown(table: Table) -> str:
    """The table without its heading, in the pipe form of Markdown; the notes follow it.

    Args:
        table: The table.
    """
    rule = ["---" if side == "l" else "--:" for side in table.align]
    lines = [[escape(column) for column in table.columns], rule, *([escape(c) for c in row] for row in table.rows)]
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return "\n\n".join([text, *map(escape, table.notes)]) + "\n"


def escape(text: str) -> str:
    """Plain text as Markdown that shows it unchanged, on one line.

    Args:
        text: The text.
    """
    return re.sub(r"([\\`*_<>|\[\]])", r"\\\1", text).replace("\n", " ")


def _cell(text: str, side: str) -> str:
    whole = html.escape(text).replace(" %", "&nbsp;%").replace("± ", "±&nbsp;")  # a figure is not broken
    return f'<td class="{"number" if side == "r" else "words"}">{whole}</td>'
