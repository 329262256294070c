"""Run folders read back, and put into groups."""

import json
from pathlib import Path

import pytest
from run_folders import write_run

from bitwright.errors import RunError
from bitwright.report.runs import find_runs, group_runs, read_run


def test_a_run_is_read_with_what_lies_beside_it(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", epochs=3, accuracy=0.75)
    (folder / "packed.json").write_text('{"accuracy": 0.74, "bytes": 1234}')
    (folder / "bench.json").write_text('{"bitwright": {"median_ms": 0.5}, "batch": 1}')
    run = read_run(folder)
    assert (run.data, run.epochs, run.recipe["method"]["name"]) == ("cifar10", 3, "sbnn")
    assert [row["epoch"] for row in run.metrics] == [0, 1, 2] and run.metrics[-1]["accuracy"] == 0.75
    assert len(run.layers) == 6 and run.layers[1]["layer"] == "blocks.1.conv" and run.layers[1]["mismatch"] == 0.375
    assert (run.bytes, run.packed_accuracy, run.ms_per_image) == (1234, 0.74, 0.5)


def test_what_is_not_there_is_none_and_the_one_packed_file_is_weighed(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a")
    for name in ("metrics.csv", "layers.csv"):
        (folder / name).unlink()
    run = read_run(folder)
    assert (run.metrics, run.layers, run.bytes, run.packed_accuracy, run.ms_per_image) == ((), (), None, None, None)
    (folder / "model.bw").write_bytes(b"12345")
    assert read_run(folder).bytes == 5
    (folder / "other.bw").write_bytes(b"1")
    assert read_run(folder).bytes is None


def test_a_time_of_many_images_a_call_is_none_of_one(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a")
    (folder / "bench.json").write_text('{"bitwright": {"median_ms": 0.5}, "batch": 8}')
    assert read_run(folder).ms_per_image is None


def test_stages_follow_one_another(tmp_path: Path) -> None:
    stages = [{"name": "1-activations", "accuracy": 0.5, "epochs": 2}, {"name": "2-both", "accuracy": 0.5, "epochs": 3}]
    recipe = [{"name": "activations", "epochs": 2}, {"name": "both"}]
    folder = write_run(tmp_path / "a", epochs=3, results={"stages": stages}, stages=recipe)
    for name in ("metrics.csv", "layers.csv"):
        (folder / name).unlink()
    write_run(folder / "1-activations", epochs=2)
    write_run(folder / "2-both", epochs=3)
    run = read_run(folder)
    assert run.epochs == run.asked == 5
    assert [row["epoch"] for row in run.metrics] == [0, 1, 2, 3, 4]
    assert [row["epoch"] for row in run.layers] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert find_runs(tmp_path) == find_runs(folder) == [folder]
    (folder / "results.json").unlink()  # interrupted in its second stage, of which one epoch is whole
    shorten(folder / "2-both" / "metrics.csv", rows=1)
    run = read_run(folder)
    assert (run.epochs, run.asked, len(run.metrics)) == (3, 5, 3)
    assert find_runs(tmp_path) == [folder]


def shorten(path: Path, rows: int) -> None:
    path.write_text("".join(path.read_text().splitlines(keepends=True)[: rows + 1]))


def test_an_interrupted_run_is_its_whole_epochs(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", epochs=10, seed=3, accuracy=0.75)
    (folder / "results.json").unlink()
    shorten(folder / "metrics.csv", rows=4)
    run = read_run(folder)
    assert (run.epochs, run.asked, run.results["seed"]) == (4, 10, 3)
    assert run.best is not None and run.best["accuracy"] == pytest.approx(0.45)
    (group,) = group_runs([run])
    assert group.accuracies == [] and group.spread is None and group.mean(lambda run: run.bytes) is None


def test_a_run_without_a_whole_epoch_is_passed_over(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "runs" / "a")
    started = write_run(tmp_path / "runs" / "b")
    for name in ("metrics.csv", "results.json"):
        (started / name).unlink()
    assert find_runs(tmp_path) == [folder]
    with pytest.raises(RunError, match=r"b has neither results\.json nor a whole epoch in metrics\.csv"):
        read_run(started)


def test_the_best_epoch_heeds_the_score(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a")
    (folder / "metrics.csv").write_text("epoch,accuracy,score\n0,0.9,-0.1\n1,0.6,0.6\n2,0.5,0.5\n")
    best = read_run(folder).best
    assert best is not None and best["epoch"] == 1


def test_seeds_of_one_recipe_are_one_group(tmp_path: Path) -> None:
    folders = [
        write_run(tmp_path / "s1", seed=1, accuracy=0.5, source="cifar10:elsewhere"),
        write_run(tmp_path / "other", method={"name": "bnn"}),
        write_run(tmp_path / "s0", seed=0, accuracy=0.7, machine={"threads": 2}),
        write_run(tmp_path / "other data", source="npz:a.npz"),
        write_run(tmp_path / "halfway", seed=2, results={"epochs": 1}),
    ]
    groups = group_runs(map(read_run, folders))
    assert [[run.folder.name for run in group.runs] for group in groups] == [
        ["s0", "s1"], ["other"], ["other data"], ["halfway"],
    ]  # fmt: skip
    assert groups[0].accuracies == [0.7, 0.5]
    assert groups[0].spread == pytest.approx(0.02**0.5) and groups[1].spread is None
    assert groups[0].mean(lambda run: run.results["seconds"]) == 60.5
    assert groups[0].mean(lambda run: run.bytes) is None


def test_what_is_switched_off_keeps_no_runs_apart(tmp_path: Path) -> None:
    off = {"pretext": {"name": "", "area": 0.08}, "train": "all", "start": "", "loss": {"label_smoothing": 0.0}}
    on = {"pretext": {"name": "rotation", "area": 0.08}}
    runs = [write_run(tmp_path / f"{i}", seed=i, **recipe) for i, recipe in enumerate([{}, off, on, {"train": "head"}])]
    groups = group_runs(map(read_run, runs))
    assert [[run.folder.name for run in group.runs] for group in groups] == [["0", "1"], ["2"], ["3"]]


NO_EPOCHS = 'data = {source = "a"}\nnetwork = {name = "b"}\nmethod = {name = "c"}\n'


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / "recipe.toml").unlink(), ["is no run", "recipe.toml"]),
        (lambda folder: (folder / "recipe.toml").write_text("a = ["), ["recipe.toml", "TOML"]),
        (lambda folder: (folder / "recipe.toml").write_text("a = 1"), ["recipe.toml", "data.source"]),
        (lambda folder: (folder / "recipe.toml").write_text(NO_EPOCHS), ["recipe.toml", "number of epochs"]),
        (lambda folder: (folder / "results.json").write_text("{"), ["results.json", "JSON"]),
        (lambda folder: (folder / "results.json").write_text("[]"), ["results.json", "list"]),
        (lambda folder: (folder / "results.json").write_bytes(b"\xff"), ["results.json"]),
        (lambda folder: (folder / "results.json").write_text('{"accuracy": "0.5"}'), ["accuracy", "'0.5'"]),
        (lambda folder: (folder / "metrics.csv").write_text("epoch,loss\n0,1\n"), ["metrics.csv", "accuracy"]),
        (lambda folder: (folder / "metrics.csv").write_text("epoch,accuracy\n0,x\n"), ["metrics.csv", "'x'"]),
        (lambda folder: (folder / "layers.csv").write_text("epoch,layer,flips\n0,a\n"), ["layers.csv"]),
    ],
)
def test_what_is_no_run_is_named(damage, words, tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a")
    damage(folder)
    with pytest.raises(RunError) as caught:
        read_run(folder)
    for word in words:
        assert word in str(caught.value)


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="nothing is no folder"):
        read_run(tmp_path / "nothing")


def test_the_recipes_of_this_project_are_runs() -> None:
    root = Path(__file__).resolve().parents[2] / "recipes"
    found = [read_run(folder) for folder in find_runs(root)]
    assert found
    for run in found:
        assert run.results["accuracy"] == json.loads((run.folder / "results.json").read_text())["accuracy"]
        assert len(run.metrics) == run.epochs
