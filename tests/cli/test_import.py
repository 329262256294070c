"""`bw import`: published weights become a run folder, which the other commands take."""

import contextlib
import io
import json

import pytest
import torch
from published import adabin_weights

from bitwright.cli.main import main


def call(*arguments):
    """The exit code and what came out on the standard output."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = main([str(argument) for argument in arguments])
    return code, out.getvalue()


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("published") / "model.th"
    torch.save({"state_dict": {f"module.{key}": value for key, value in adabin_weights().items()}}, path)
    return path


def test_without_arguments_it_lists_what_there_is():
    code, out = call("import")
    assert code == 0 and "adabin-resnet20" in out and "88.1 %" in out
    code, out = call("import", "--json")
    assert code == 0 and set(json.loads(out)) == {"adabin-resnet20", "resnet20"}


def test_import_then_export(file, tmp_path):
    folder = tmp_path / "run"
    code, out = call("import", "adabin-resnet20", file, "--run-dir", folder, "--json")
    assert code == 0
    assert json.loads(out) == {"folder": str(folder), "model": str(folder / "model.safetensors")}
    assert {path.name for path in folder.iterdir()} == {"recipe.toml", "model.safetensors"}
    code, out = call("export", folder, "--json")
    report = json.loads(out)
    assert code == 0 and report["labels_differing"] == 0
    assert report["bytes"] == (folder / "model.bw").stat().st_size < 125_000


def test_the_folder_is_named_after_the_network(file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("runs/adabin-resnet20", "runs/adabin-resnet20-2"):
        code, out = call("import", "adabin-resnet20", file)
        assert code == 0 and out.splitlines()[-1] == f"pack it: bw export {folder}"
        assert (tmp_path / folder / "model.safetensors").is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["adabin-resnet20"], ["bw import adabin-resnet20 FILE"]),
        (["adabin", "{file}"], ["'adabin'", "adabin-resnet20, resnet20"]),
        (["adabin-resnet20", "{folder}/none.th"], ["none.th", "not found"]),
        (["resnet20", "{file}"], ["model.th", "not the weights of resnet20", "besides"]),
        (["resnet20", "{here}"], ["not a whole file of weights"]),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(arguments, words, file, tmp_path, capsys):
    folder = tmp_path / "run"
    places = {"file": file, "folder": tmp_path, "here": __file__}
    assert main(["import", *[a.format(**places) for a in arguments], "--run-dir", str(folder)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and len(err.strip().splitlines()) == 1 and err.startswith("bw: error: ")
    for word in words:
        assert word in err
    assert not folder.exists()


def test_a_folder_is_not_overwritten(file, tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("mine")
    assert main(["import", "adabin-resnet20", str(file), "--run-dir", str(tmp_path)]) == 2
    assert "not empty" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_what_is_not_installed_is_named(bw, refused):
    refused(bw("import", "resnet20", "x.th", without=["torch"]), 'pip install "bitwright[train]"')
