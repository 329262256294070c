"""What training writes is what `bw report` reads."""

import json

import pytest
from run_folders import own_text
from tiny import tiny_data, tiny_recipe

from bitwright.cli.main import main
from bitwright.train import train

pytest.importorskip("plotly")


def test_a_real_run_becomes_a_page(tmp_path, capsys):
    result = train(tiny_recipe("epochs=2"), tmp_path / "run", data=tiny_data(), progress=False)
    assert main(["report", str(tmp_path / "run"), "--output", str(tmp_path / "out.html"), "--json"]) == 0
    (group,) = json.loads(capsys.readouterr().out)["groups"]
    assert (group["accuracy"], group["density"]) == (result.accuracy, result.density)
    assert group["method"]["sparsity"] == 0.75 and group["epochs"] == group["epochs_of_recipe"] == 2
    text = own_text(tmp_path / "out.html")
    assert "layers by epoch" in text and all(layer in text for layer in result.layers)


def test_stages_are_counted_together(tmp_path, capsys):
    stages = 'stages=[{name = "activations", epochs = 1, binary = "activations"}, {name = "both", epochs = 2}]'
    train(tiny_recipe("epochs=2", stages), tmp_path / "run", data=tiny_data(), progress=False)
    assert main(["report", str(tmp_path / "run"), "--output", str(tmp_path / "out.html"), "--json"]) == 0
    (group,) = json.loads(capsys.readouterr().out)["groups"]
    assert group["epochs"] == group["epochs_of_recipe"] == 3
