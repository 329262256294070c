"""`bw report` from made-up folders, without PyTorch."""

import json
from pathlib import Path

import pytest
from run_folders import own_text, write_run

pytest.importorskip("plotly")


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> list[Path]:
    root = tmp_path_factory.mktemp("runs")
    return [
        write_run(root / "a", published=0.9, paper="Author, Venue 2020"),
        write_run(root / "b", seed=1, accuracy=0.6, published=0.9, paper="Author, Venue 2020"),
        write_run(root / "c", method={"name": "none"}),
    ]


def test_a_page_a_table_and_markdown_without_torch(bw, runs, tmp_path) -> None:
    page, markdown = tmp_path / "out.html", tmp_path / "out.md"
    done = bw("report", *runs, "--output", page, "--markdown", markdown, without=["torch", "pytorch_lightning"])
    assert done.returncode == 0, done.stderr
    assert "55.00 % ± 7.07" in done.stdout and "90.00 % [1]" in done.stdout and "[1] Author, Venue 2020" in done.stdout
    text = own_text(page)
    for words in ("measured, this budget", "published, full budget", "Author, Venue 2020", "gradient mismatch"):
        assert words in text
    assert "http://" not in text and "https://" not in text
    assert len(markdown.read_text(encoding="utf-8").splitlines()) == 8  # head, rule, two rows, two notes


def test_a_folder_of_runs_is_all_of_them(bw, runs, tmp_path) -> None:
    done = bw("report", runs[0].parent, "--output", tmp_path / "out.html", "--json")
    assert [group["label"] for group in json.loads(done.stdout)["groups"]] == ["sbnn", "float32"]


def test_json_is_one_object(bw, runs, tmp_path) -> None:
    done = bw("report", *runs, "--output", tmp_path / "out.html", "--json")
    found = json.loads(done.stdout)
    assert [group["label"] for group in found["groups"]] == ["sbnn", "float32"]
    assert found["groups"][0]["published"] == 0.9 and found["groups"][1]["published"] is None
    assert Path(found["report"]) == tmp_path / "out.html"


def test_pareto_is_another_page_and_table(bw, runs, tmp_path, refused) -> None:
    (runs[0] / "packed.json").write_text('{"bytes": 4321, "accuracy": 0.75}')
    page, markdown = tmp_path / "out.html", tmp_path / "out.md"
    command = ["report", "--pareto", *runs, "--output", page, "--markdown", markdown]
    done = bw(*command, "--rules", "fine_grained", without=["torch", "pytorch_lightning"])
    assert done.returncode == 0, done.stderr
    assert "4.321" in done.stdout and "Left out: against file size, 2 (no size" in done.stdout
    assert "file size" in markdown.read_text() and "Accuracy against file size" in own_text(page)
    found = json.loads(bw(*command, "--json").stdout)
    assert found["panels"][0]["points"][0]["cost"] == 4321
    refused(bw(*command, "--rules", "best"), "rules: expected some of dense", "'best'")


def test_mistakes_are_one_line_and_write_nothing(bw, runs, tmp_path, refused) -> None:
    (tmp_path / "empty").mkdir()
    refused(bw("report", runs[0], tmp_path / "empty", cwd=tmp_path), "empty is no run", "recipe.toml")
    refused(bw("report", tmp_path / "nothing", cwd=tmp_path), "nothing is no folder")
    refused(bw("report", cwd=tmp_path), "expected run folders")
    refused(bw("report", *runs, without=["plotly"], cwd=tmp_path), 'pip install "bitwright[report]"')
    assert [entry.name for entry in tmp_path.iterdir()] == ["empty"]
