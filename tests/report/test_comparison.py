"""Runs side by side: the table, the labels, the page."""

from pathlib import Path

import numpy as np
import pytest
from run_folders import write_run

from bitwright.report.comparison import MEASURED, PUBLISHED, compare, labels, runs_page, to_json
from bitwright.report.runs import group_runs, read_run
from bitwright.report.table import Table, to_html, to_markdown


def grouped(*folders: Path):
    return group_runs(map(read_run, folders))


def test_measured_and_published_stand_side_by_side_with_the_source(tmp_path: Path) -> None:
    table = compare(
        grouped(
            write_run(tmp_path / "a", accuracy=0.5709, published=0.865, paper="Tu | 2022"),
            write_run(tmp_path / "b", method={"name": "bnn"}, paper="not published there"),
        )
    )
    assert list(table.columns) == ["run", "method", "network", "data", "epochs", "seed", "best epoch, validation",
                                   MEASURED, PUBLISHED, "density", "training, s"]  # fmt: skip
    assert list(table.rows[0]) == ["a", "sbnn", "resnet20", "cifar10", "2", "0", "57.09 % (epoch 2)", "57.09 %",
                                   "86.50 % [1]", "25.00 %", "60"]  # fmt: skip
    assert table.rows[1][8] == ""
    assert list(table.notes) == ["[1] Tu | 2022"]
    assert to_markdown(table).splitlines()[2].startswith("| a | sbnn | resnet20 | cifar10 | 2 | 0 | 57.09 % (epoch 2)")
    assert to_markdown(table).endswith("\n\n\\[1\\] Tu \\| 2022\n")


def test_seeds_become_mean_and_spread(tmp_path: Path) -> None:
    groups = grouped(write_run(tmp_path / "a", accuracy=0.5), write_run(tmp_path / "b", seed=1, accuracy=0.52))
    (row,) = compare(groups).rows
    assert row[0] == "a, b" and list(row[5:8]) == ["0, 1", "51.00 %", "51.00 % ± 1.41"]
    assert "standard deviation" in compare(groups).notes[0]
    (found,) = to_json(groups)
    assert (found["accuracy"], found["accuracies"], found["seeds"]) == (0.51, [0.5, 0.52], [0, 1])
    assert found["accuracy_spread"] == pytest.approx(0.0141421, abs=1e-6)


def test_a_run_that_stopped_early_says_so(tmp_path: Path) -> None:
    groups = grouped(write_run(tmp_path / "a", epochs=10, results={"epochs": 3}))
    table = compare(groups)
    assert table.rows[0][4] == "3 of 10" and "not run" in table.notes[-1]


def test_an_interrupted_run_has_its_best_epoch_and_no_accuracy(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", epochs=10, accuracy=0.75)
    (folder / "results.json").unlink()
    (folder / "metrics.csv").write_text("epoch,accuracy,seconds\n0,0.5,2\n1,0.4,3\n")
    (group,) = groups = grouped(folder)
    table, (found,) = compare(groups), to_json(groups)
    assert MEASURED not in table.columns and list(table.rows[0][4:]) == ["2 of 10", "0", "50.00 % (epoch 1)", "5"]
    assert (found["accuracy"], found["best_validation_accuracy"], found["seconds"]) == (None, 0.5, 5)
    assert runs_page([group]).curves["Validation accuracy, %"] == {"sbnn": [(1, 50.0), (2, 40.0)]}


def test_a_short_budget_is_marked(tmp_path: Path) -> None:
    table = compare(grouped(write_run(tmp_path / "a", published=0.865, paper="Tu", short=True)))
    assert table.rows[0][4] == "2, short budget"
    assert table.notes[0] == "[1] Tu" and table.notes[1].startswith("Short budget: far less than the source")


def test_a_float_network_has_no_density(tmp_path: Path) -> None:
    table = compare(grouped(write_run(tmp_path / "a", method={"name": "none"}, results={"density": 1.0})))
    assert table.rows[0][1] == "float32" and "density" not in table.columns


def test_a_run_without_labels_says_what_it_learned(tmp_path: Path) -> None:
    folders = [
        write_run(tmp_path / "a", pretext={"name": "rotation", "temperature": 0.5}),
        write_run(tmp_path / "b", pretext={"name": "rotation"}, stages=[{"name": "x", "pretext": {"name": ""}}]),
        write_run(tmp_path / "c", stages=[{"name": "x", "pretext": {"name": "simclr"}}]),
    ]
    runs = [read_run(folder) for folder in folders]
    assert [run.task for run in runs] == ["rotation", "labels", "simclr"]
    table = compare(group_runs(runs))
    assert [row[table.columns.index("data")] for row in table.rows] == [
        "cifar10, rotation",
        "cifar10",
        "cifar10, simclr",
    ]
    assert "neighbours of the features" not in table.columns


def test_labels_say_as_much_as_tells_runs_apart(tmp_path: Path) -> None:
    runs = [
        write_run(tmp_path / "a", method={"name": "bnn"}),
        write_run(tmp_path / "b", method={"name": "sbnn", "sparsity": 0.5}),
        write_run(tmp_path / "c", method={"name": "sbnn", "sparsity": 0.95, "gamma": 0.2}),
        write_run(tmp_path / "x" / "run", method={"name": "dorefa"}, batch=16),
        write_run(tmp_path / "y" / "run", method={"name": "dorefa"}, batch=32),
    ]
    assert labels(grouped(*runs)) == ["bnn", "sbnn sparsity=0.5", "sbnn sparsity=0.95 gamma=0.2", str(runs[3]),
                                      str(runs[4])]  # fmt: skip


def test_the_page_holds_curves_and_layers_by_epoch(tmp_path: Path) -> None:
    page = runs_page(
        grouped(
            write_run(tmp_path / "a", accuracy=0.5),
            write_run(tmp_path / "b", seed=1, accuracy=0.6),
            write_run(tmp_path / "c", method={"name": "bnn"}),
        )
    )
    assert {label: dict(line) for label, line in page.curves["Validation accuracy, %"].items()} == {
        "sbnn": pytest.approx({1: 50, 2: 55}),
        "bnn": pytest.approx({1: 45, 2: 50}),
    }
    first = page.layers[0]
    assert first.title == "sbnn: layers by epoch, mean of 2 seeds"
    assert list(first.layers) == ["blocks.0.conv", "blocks.1.conv"]
    np.testing.assert_allclose(first.maps["gradient mismatch, 1 - cos"], [[0.125, 0.125], [0.375, 0.375]])
    np.testing.assert_allclose(first.maps["flips, share of weights"], [[np.nan, 0.5], [np.nan, 0.5]])


def test_a_run_without_binary_layers_has_no_maps(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", method={"name": "none"})
    (folder / "layers.csv").unlink()
    assert runs_page(grouped(folder)).layers == []


def test_html_is_escaped() -> None:
    text = to_html(Table("a < b", ["c & d", "e"], [["<script>", "1"]], "lr", ["f > g"]))
    assert "a &lt; b" in text and "c &amp; d" in text and "f &gt; g" in text and "<script>" not in text
