"""A search from recipe to networks, in a space small enough for a test."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from tiny import tiny_data

from bitwright.errors import RecipeError, RunError
from bitwright.nas.evaluate import Latency
from bitwright.nas.search import Score, Trial
from bitwright.train import load_model, parse_search, predict, read_recipe, read_search, resume_search, run_search
from bitwright.train.candidates import CandidateFile
from bitwright.train.toml_form import write

RECIPE = """
title = "tiny search"
epochs = 1
batch = 16
keep = "last"

[data]
source = "npz:unused.npz"
held_out = 20

[network]
name = "bitwright.nas.supernet:supernet"

[network.space]
size = 8
stages = [
    {channels = [4, 8], depths = [1], stride = 1},
    {channels = [8, 12, 16], depths = [1, 2], kernels = [3, 5], groups = [1, 2]},
]

[machine]
threads = 1

[search]
low = 0
high = 0.01
step = 0.001
population = 6
generations = 2
mutations = 2
crossovers = 2
images = 12
calibration = 2
calibration_batch = 16
"""
DATA = tiny_data()


def recipe(*overrides: str):
    return parse_search(RECIPE, overrides=overrides)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A search folder, and what came of it."""
    folder = tmp_path_factory.mktemp("search") / "run"
    return folder, run_search(recipe(), folder, data=DATA, progress=False)


def rows(folder):
    return list(csv.DictReader((folder / "candidates.csv").read_text().splitlines()))


def test_a_search_leaves_a_run_folder_for_each_winner(done) -> None:
    folder, result = done
    assert result.trials == len(rows(folder)) == 14 and 0 < result.quality <= 1
    results = json.loads((folder / "results.json").read_text())
    assert results["trials"] == 14 and len(results["winners"]) == len(result.winners) > 0
    for winner in result.winners:
        model = load_model(winner.folder)
        assert model.recipe.network.name == "nas_bnn" and model.recipe.network.options["arch"] == winner.arch
        found = (predict(model.net, DATA.test_images, model.recipe.data).argmax(1) == DATA.test_labels).mean()
        assert winner.test_accuracy == pytest.approx(found)
        training = read_recipe(winner.folder / "recipe.toml")
        assert training == model.recipe and training.start == str(winner.folder)
        assert (training.optimizer.lr, training.epochs, training.loss.label_smoothing) == (1e-5, 25, 0)
    winners = list(csv.DictReader((folder / "winners.csv").read_text().splitlines()))
    assert [row["arch"] for row in winners] == [winner.arch for winner in result.winners]


def test_a_search_goes_on_to_the_same_end(done, tmp_path) -> None:
    folder, result = done
    shared = recipe(f"search.supernet={folder}")
    asked = []

    def stop(recipe, trial, found) -> None:
        asked.append(trial.name)
        if len(asked) == 8:
            raise KeyboardInterrupt

    with pytest.raises(RunError, match=r"interrupted; continue with: bw search --resume"):
        run_search(shared, tmp_path / "run", data=DATA, progress=False, watch=stop)
    with (tmp_path / "run" / "candidates.csv").open("a") as file:
        file.write("8,0,random,0.00")  # the process died while it wrote
    again = resume_search(tmp_path / "run", data=DATA, progress=False)
    assert rows(tmp_path / "run") == rows(folder)
    strip = [replace(winner, folder=folder) for winner in again.winners]
    assert strip == [replace(winner, folder=folder) for winner in result.winners]
    assert not (tmp_path / "run" / "supernet").exists()


def test_random_draws_begin_alike(done, tmp_path) -> None:
    folder, _ = done
    drawn = recipe(f"search.supernet={folder}", "search.strategy=random")
    run_search(drawn, tmp_path / "run", data=DATA, progress=False)
    assert rows(tmp_path / "run")[:6] == rows(folder)[:6]
    assert {row["kind"] for row in rows(tmp_path / "run")[6:]} == {"random"}


def test_latency_may_be_the_cost(done, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(Latency, "measure", lambda self, net: 1e-4 * net.blocks[0].conv1.in_channels)
    folder, _ = done
    timed = recipe(f"search.supernet={folder}", "search.bins=latency", "search.step=0.0002", "search.high=0.1")
    result = run_search(timed, tmp_path / "run", data=DATA, progress=False)
    assert {winner.latency_ms for winner in result.winners} <= {4e-4, 8e-4} and len(result.winners) > 0
    assert [winner.bin for winner in result.winners] == [f"{1e3 * w.latency_ms / 1e3:g}ms" for w in result.winners]


def test_recipes_are_read_back(tmp_path) -> None:
    (tmp_path / "search.toml").write_text(write(recipe()))
    assert read_search(tmp_path / "search.toml") == recipe()
    assert recipe().training.network.name.endswith(":supernet") and recipe().search.budget(0).trials == 14


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("search.low=2", "search.low, high: expected 0 <= low < high"),
        ("search.images=-1", "search.images must be 0 or more"),
        ("search.generation=1", "unknown key search.generation; did you mean search.generations"),
        ("data.held_out=0", "data.held_out must be 1 or more"),
        ("machine.compile=true", "a search has no stages"),
    ],
)
def test_recipes_that_make_no_sense_are_refused(override, message) -> None:
    with pytest.raises(RecipeError, match=message):
        recipe(override)


def test_what_does_not_fit_is_refused(done, tmp_path) -> None:
    folder, result = done
    few = recipe(f"search.supernet={folder}", "search.images=21")
    with pytest.raises(RecipeError, match=r"search\.images: expected at most .* data\.held_out, 20, found 21"):
        run_search(few, tmp_path / "few", data=DATA, progress=False)
    other = recipe(f"search.supernet={result.winners[0].folder}")
    with pytest.raises(RecipeError, match="expected a supernet"):
        run_search(other, tmp_path / "other", data=DATA, progress=False)
    with pytest.raises(RunError, match="nothing to resume"):
        resume_search(tmp_path / "none")
    (tmp_path / "list.csv").write_text("a,b\n1,2\n")
    with pytest.raises(RunError, match="not a search's list of networks"):
        CandidateFile(tmp_path / "list.csv").read()


def test_scores_are_kept_in_full(tmp_path) -> None:
    file = CandidateFile(tmp_path / "candidates.csv")
    assert file.read() == {}
    value = float(np.float64(1) / 3)
    file.add(Trial(0, 0, "random", "8 16", None, 0.1, 0.1 + 0.2, value, 3))
    assert file.read() == {"8 16": Score(value, 0.1 + 0.2)}
