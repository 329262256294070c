"""The page of the counting rules names each of them as the code does, and its example runs."""

import re
from pathlib import Path

from bitwright.ir.rules import RULES
from bitwright.report.table import escape

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "counting.md").read_text(encoding="utf-8")


def test_the_table_is_that_of_the_rules() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ")][2:]
    assert rows == [
        f"| {rule.counts} | `{rule.name}` | {escape(rule.formula)} | {escape(rule.source)} |" for rule in RULES
    ]


def test_the_example_runs(capsys) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(example, "docs/counting.md", "exec"), {})
    assert "fine_grained" in capsys.readouterr().out
