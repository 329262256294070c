"""`bw search` from a recipe to a packed network."""

import contextlib
import io
import json
from types import SimpleNamespace

import pytest
from rich.console import Console

from bitwright.cli.main import main
from bitwright.cli.search_view import SearchView, winners_table

RECIPE = """
title = "a tiny search on noise"
epochs = 1
batch = 16
keep = "last"

[data]
source = "npz:none.npz"
held_out = 12

[network]
name = "bitwright.nas.supernet:supernet"

[network.space]
size = 8
stages = [{channels = [4, 8], depths = [1], stride = 1}, {channels = [8, 16], depths = [1], kernels = [3, 5]}]

[machine]
threads = 1

[search]
low = 0
high = 0.01
step = 0.005
population = 3
generations = 1
mutations = 1
crossovers = 1
calibration = 1
calibration_batch = 16
"""


def call(*arguments):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = main([str(argument) for argument in arguments])
    return code, out.getvalue()


@pytest.fixture(scope="module")
def searched(digits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("search")
    (folder / "tiny.toml").write_text(RECIPE)
    words = ["--override", f"data.source=npz:{digits}", "--run-dir", folder / "run"]
    return folder, words, call("search", folder / "tiny.toml", *words, "--json")


def test_search_says_what_came_of_it(searched) -> None:
    folder, _, (code, out) = searched
    assert code == 0
    result = json.loads(out)
    assert result["trials"] == 5 and result["winners"]
    winner = result["winners"][-1]["folder"]
    code, out = call("export", winner, "--json")
    assert code == 0 and json.loads(out)["labels_differing"] == 0
    assert (folder / "run" / "candidates.csv").is_file()


def test_a_second_search_takes_the_supernet(searched) -> None:
    folder, words, _ = searched
    code, out = call(
        "search",
        folder / "tiny.toml",
        *words[:3],
        folder / "drawn",
        "--supernet",
        folder / "run",
        "--strategy",
        "random",
    )
    assert code == 0 and "bw export" in out and "quality" in out
    assert json.loads((folder / "drawn" / "results.json").read_text())["strategy"] == "random"


def test_what_does_not_go_together_is_refused(searched, capsys) -> None:
    folder, _, _ = searched
    assert main(["search"]) == 2
    assert "expected either a recipe or --resume" in capsys.readouterr().err
    assert main(["search", "--resume", str(folder / "run"), "--strategy", "random"]) == 2
    assert "--resume goes on with a search as it is" in capsys.readouterr().err


def test_the_table_follows_the_search() -> None:
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=100)
    budget = SimpleNamespace(generations=2, trials=10)
    settings = SimpleNamespace(step=0.5, unit="M", fitness="accuracy", budget=lambda seed: budget)
    recipe = SimpleNamespace(title="a search", seed=0, search=settings)
    trial = SimpleNamespace(generation=1, kind="mutation", price=0.52, value=0.625, name="8 16k5")
    found = SimpleNamespace(winners={1: trial}, trials=[trial], quality=lambda budget: 0.5)
    with SearchView(console) as view:
        view(recipe, trial, found)
    for word in ("0.5 M", "62.50%", "8 16k5", "generation 1 of 2, mutation", "1/10"):
        assert word in text.getvalue()
    many = SimpleNamespace(winners=dict.fromkeys(range(100), trial), quality=lambda budget: 0.5)
    assert winners_table(recipe, many).row_count == 20
