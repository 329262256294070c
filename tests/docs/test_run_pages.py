"""The pages that compare runs: their tables and pictures are those of the logs."""

import importlib.util
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("build_runs", DOCS / "build_runs.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_are_those_of_the_logs(script) -> None:
    for name, pattern in script.PAGES.items():
        assert len(script.runs(pattern)) > 1
        assert script.fill(name, pattern) == (DOCS / f"{name}.md").read_text(encoding="utf-8"), "make docs"
        assert (DOCS / f"{name}.svg").is_file()


def test_a_page_without_its_place_is_refused(script, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(script, "DOCS", tmp_path)
    (tmp_path / "short-budget.md").write_text("# No place\n")
    with pytest.raises(SystemExit, match=r"short-budget\.md: expected one place .* found 0"):
        script.fill("short-budget", script.PAGES["short-budget"])


def test_the_picture_has_a_dot_for_each_group_and_each_published_figure(script) -> None:
    pytest.importorskip("plotly")
    groups = script.runs(script.PAGES["short-budget"])
    dots = {trace.uid: trace for trace in script.draw(groups).data}
    assert list(dots["measured"].x) == sorted(dots["measured"].x, reverse=True)
    assert len(dots["measured"].x) == len(set(dots["measured"].y)) == len(groups)
    assert 86.5 in dots["stated"].x and max(dots["measured"].x) < 70
