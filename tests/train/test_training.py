import csv
import json
import signal
import threading

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny import tiny_data, tiny_recipe

from bitwright.data import save_npz
from bitwright.errors import RecipeError, RunError
from bitwright.train import load_model, parse_recipe, predict, read_recipe, resume_run, train
from bitwright.train import run as run_module
from bitwright.train.catalogue import build_network
from bitwright.train.task import Task


def _rows(folder):
    with (folder / "metrics.csv").open() as file:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]


def _weights(folder, name="last.ckpt"):
    checkpoint = torch.load(folder / name, weights_only=True)
    moments = checkpoint["optimizer_states"][0]["state"]
    flat = {f"{key}.{part}": torch.as_tensor(value) for key, state in moments.items() for part, value in state.items()}
    return checkpoint["state_dict"] | flat


def _assert_equal(one, two):
    assert one.keys() == two.keys()
    for name in one:
        assert torch.equal(one[name], two[name]), name


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run of four epochs, never stopped."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    return train(tiny_recipe(), folder, data=tiny_data(), progress=False)


def test_a_run_leaves_everything_in_its_folder(whole):
    names = {path.name for path in whole.folder.iterdir()}
    files = {
        "recipe.toml",
        "metrics.csv",
        "layers.csv",
        "log.txt",
        "results.json",
        "best.ckpt",
        "last.ckpt",
        "model.safetensors",
    }
    assert names == files | {"tensorboard"} and any((whole.folder / "tensorboard").iterdir())
    recipe = read_recipe(whole.folder / "recipe.toml")
    assert recipe.network.options == {"num_classes": 3, "in_channels": 1, "size": 8, "width": 4}
    assert len(recipe.data.mean) == len(recipe.data.std) == 1
    rows = _rows(whole.folder)
    assert [row["epoch"] for row in rows] == ["0", "1", "2", "3"]
    assert all(0 <= float(row["density"]) <= 1 and float(row["train_loss"]) > 0 for row in rows)
    log = (whole.folder / "log.txt").read_text()
    assert "torch" in log and "epoch   4/4" in log and "threads" in log
    results = json.loads((whole.folder / "results.json").read_text())
    assert results["accuracy"] == whole.accuracy and results["images"] == 20 and results["seed"] == 0
    assert results["layers"] == whole.layers and len(whole.layers) == 5 and results["finished"] is True
    assert (
        torch.load(whole.folder / "best.ckpt", weights_only=True)["recipe"]
        == (whole.folder / "recipe.toml").read_text()
    )


def test_a_float_network_learns_the_bars(tmp_path):
    recipe = tiny_recipe(
        "method.name=none", "epochs=8", "optimizer.lr=0.01", "augmentation.flip=false", "network.width=8"
    )
    assert train(recipe, tmp_path / "run", data=tiny_data(), progress=False).accuracy > 0.8


@pytest.mark.parametrize("last", [False, True])
def test_training_images_lie_as_the_recipe_says(last, tmp_path, monkeypatch):
    seen = []

    def watched(recipe):
        net = build_network(recipe)
        net.register_forward_pre_hook(lambda net, args: seen.append(args[0]) if net.training else None)
        return net

    monkeypatch.setattr(run_module, "build_network", watched)
    recipe = tiny_recipe("epochs=1", f"machine.channels_last={str(last).lower()}")
    train(recipe, tmp_path / "run", data=tiny_data(channels=3), progress=False)
    assert seen[0].is_contiguous(memory_format=torch.channels_last) == last


def test_weights_that_are_real_in_the_end_have_no_density(tmp_path):
    recipe = tiny_recipe('method={name="binary_connect", stochastic=true}', "epochs=1", "loss.name=squared_hinge")
    run = train(recipe, tmp_path / "run", data=tiny_data(), progress=False)
    assert run.finished and run.density == 1 and run.layers == {}


def test_the_model_file_stands_alone(whole):
    model = load_model(whole.folder)
    data = tiny_data()
    logits = predict(model.net, data.test_images, model.recipe.data)
    assert float((logits.argmax(1) == data.test_labels).mean()) == whole.accuracy
    assert model.shape == (8, 8, 1) and model.label_names == ("left", "middle", "right")
    assert model.example.shape == (1, 1, 8, 8) and not model.net.training
    assert parse_recipe((whole.folder / "recipe.toml").read_text()) == model.recipe
    assert not any(name.startswith("net.") for name in load_file(whole.model))


def test_the_same_seed_gives_the_same_weights_and_another_does_not(whole, tmp_path):
    again = train(tiny_recipe(), tmp_path / "again", data=tiny_data(), progress=False)
    other = train(tiny_recipe("seed=1", "epochs=1"), tmp_path / "other", data=tiny_data(), progress=False)
    _assert_equal(_weights(whole.folder), _weights(again.folder))
    assert _rows(whole.folder) == _rows(again.folder)
    weight = "net.features.0.weight"
    assert not torch.equal(_weights(whole.folder)[weight], _weights(other.folder)[weight])


@pytest.mark.parametrize("per", ["epoch", "step"])
def test_two_and_two_epochs_are_four(whole, tmp_path, per):
    if per == "step":
        whole = train(tiny_recipe("schedule.per=step"), tmp_path / "whole", data=tiny_data(), progress=False)
    recipe = tiny_recipe(f"schedule.per={per}")
    half = train(recipe, tmp_path / "run", data=tiny_data(), stop_after=2, progress=False)
    assert half.epochs == 2 and not half.finished
    torch.rand(3)  # the state of torch's generator must not matter
    done = resume_run(tmp_path / "run", data=tiny_data(), progress=False)
    assert done.epochs == 4 and done.finished
    _assert_equal(_weights(whole.folder), _weights(done.folder))
    _assert_equal(_weights(whole.folder, "best.ckpt"), _weights(done.folder, "best.ckpt"))
    assert _rows(whole.folder) == _rows(done.folder) and whole.accuracy == done.accuracy
    assert whole.epoch == done.epoch


class _Interrupt(Exception):
    pass


def test_an_interrupted_epoch_is_run_again(whole, tmp_path, monkeypatch):
    step = Task.training_step

    def fail(self, batch, index):
        if (self.current_epoch, index) == (2, 1):
            raise _Interrupt
        return step(self, batch, index)

    monkeypatch.setattr(Task, "training_step", fail)
    with pytest.raises(_Interrupt):
        train(tiny_recipe(), tmp_path / "run", data=tiny_data(), progress=False)
    assert len(_rows(tmp_path / "run")) == 2
    monkeypatch.undo()
    done = resume_run(tmp_path / "run", data=tiny_data(), progress=False)
    _assert_equal(_weights(whole.folder), _weights(done.folder))
    assert _rows(whole.folder) == _rows(done.folder)


def test_ctrl_c_says_how_to_go_on(tmp_path, monkeypatch):
    assert threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT)
    step = Task.training_step

    def interrupt(self, batch, index):
        if self.current_epoch == 1:
            raise KeyboardInterrupt
        return step(self, batch, index)

    monkeypatch.setattr(Task, "training_step", interrupt)
    with pytest.raises(RunError, match="interrupted after 1 of 4 epochs; continue with: bw train --resume"):
        train(tiny_recipe(), tmp_path / "run", data=tiny_data(), progress=False)
    assert signal.getsignal(signal.SIGINT) is handler
    monkeypatch.undo()
    assert resume_run(tmp_path / "run", data=tiny_data(), progress=False).finished


def test_resuming_a_finished_run_changes_nothing(tmp_path):
    first = train(tiny_recipe("epochs=1"), tmp_path / "run", data=tiny_data(), progress=False)
    before = load_file(first.model)
    again = resume_run(first.folder, data=tiny_data(), progress=False)
    assert again.accuracy == first.accuracy and len(_rows(first.folder)) == 1
    _assert_equal(load_file(again.model), before)


def test_a_budget_that_is_kept_comes_before_accuracy():
    task = Task(tiny_recipe(), torch.nn.Linear(1, 1))
    task._validation.images, task._validation._right = 10, 9.0
    assert task._score(0.0) == pytest.approx(0.9) and task._score(0.1) == pytest.approx(-0.1)


def test_held_out_images_are_not_trained_on(tmp_path, monkeypatch):
    seen = {}
    real = run_module.TrainingBatches

    def spy(images, labels, *args, **kwargs):
        seen["train"] = images
        return real(images, labels, *args, **kwargs)

    monkeypatch.setattr(run_module, "TrainingBatches", spy)
    data = tiny_data()
    result = train(tiny_recipe("epochs=1", "data.held_out=30"), tmp_path / "run", data=data, progress=False)
    assert len(seen["train"]) == 40 and result.images == 20
    kept = {image.tobytes() for image in seen["train"]}
    assert len(kept) == 40 and kept <= {image.tobytes() for image in data.train_images}
    assert "30 held-out training images" in (tmp_path / "run" / "results.json").read_text()


def test_data_comes_from_the_source_and_mixed_precision_trains(tmp_path):
    save_npz(tiny_data(channels=3), tmp_path / "bars.npz")
    recipe = tiny_recipe(
        f"data.source=npz:{tmp_path / 'bars.npz'}", "network.name=resnet20", "epochs=1", "machine.precision=bf16-mixed",
        "loss.label_smoothing=0.1", "optimizer.name=sgd", "keep=last",
    )  # fmt: skip
    result = train(recipe, tmp_path / "run", progress=False)
    assert result.images == 20 and np.isfinite(float(_rows(result.folder)[0]["train_loss"]))


def test_progress_is_a_line_for_each_epoch(tmp_path, capsys):
    train(tiny_recipe("epochs=1"), tmp_path / "run", data=tiny_data())
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["started:", "machine:", "network:", "epoch", "kept"]


def test_a_folder_in_use_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(RunError, match="is not empty: continue its run with --resume, or name another folder"):
        train(tiny_recipe(), tmp_path, data=tiny_data())
    with pytest.raises(RunError, match=r"recipe\.toml not found: nothing to resume"):
        resume_run(tmp_path, data=tiny_data())
    with pytest.raises(RunError, match="cannot be a run folder"):
        train(tiny_recipe(), tmp_path / "mine.txt", data=tiny_data())
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.held_out=69", "data.held_out is 69 of 70 training images"),
        ("network.wide=2", "did you mean network.width"),
    ],
)
def test_a_recipe_that_does_not_fit_leaves_no_run(tmp_path, override, message):
    with pytest.raises(RecipeError, match=message):
        train(tiny_recipe(override), tmp_path / "run", data=tiny_data(), progress=False)
    assert not (tmp_path / "run" / "recipe.toml").exists()


def test_channels_of_mean_must_fit(tmp_path):
    recipe = tiny_recipe("data.mean=[0.5, 0.5, 0.5]", "data.std=[0.5, 0.5, 0.5]")
    with pytest.raises(RecipeError, match=r"data\.mean has 3 channels, the images of bars have 1"):
        train(recipe, tmp_path / "run", data=tiny_data(), progress=False)


@pytest.mark.parametrize("content", [b"", b"\x08\0\0\0\0\0\0\0{}      "])
def test_a_damaged_model_file_is_named(tmp_path, content):
    with pytest.raises(RunError, match=r"model\.safetensors not found"):
        load_model(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(RunError, match=r"not a whole safetensors file|was not written by a training run"):
        load_model(tmp_path)
