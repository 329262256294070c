"""The script that times training steps: a row for each method, under the columns that the page is drawn from."""

import csv
import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("tyro")

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "train_step.py"
COLUMNS = (
    "date,commit,cpu,vectors,system,compiler,python,bitwright,numpy,environment,threads,batch,torch,network,method,runs,"
    "median_ms,min_ms,float_median_ms,float_min_ms,ratio,ratio_min"
)


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("train_step", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_one_row_for_each_method(script, tmp_path, capsys) -> None:
    path = tmp_path / "rows.csv"
    script.main(("bnn", "noisy_supervision"), path, batch=2, runs=2, width=2)
    assert path.read_text().splitlines()[0] == COLUMNS
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["method"], row["batch"], row["network"]) for row in rows] == [
        ("bnn", "2", "resnet18 of width 2"),
        ("noisy_supervision", "2", "resnet18 of width 2"),
    ]
    for row in rows:
        assert float(row["ratio"]) == pytest.approx(float(row["median_ms"]) / float(row["float_median_ms"]), rel=0.1)
        assert float(row["median_ms"]) >= float(row["min_ms"]) > 0
    assert capsys.readouterr().out.count("float") == 2


def test_a_slow_method_has_fewer_runs(script) -> None:
    ours, theirs = script.in_turn(lambda: None, lambda: None, 3, 0.0)
    assert (ours.runs, theirs.runs) == (1, 1)
    assert script.in_turn(lambda: None, lambda: None, 3, 10.0)[0].runs == 3


def test_a_step_trains_and_projects(script) -> None:
    torch = pytest.importorskip("torch")
    from bitwright import binarize, methods, zoo

    net = binarize(zoo.resnet18(width=2), methods.bnn())
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(100)
    before = net.blocks[0].conv1.weight.detach().clone()
    script.training_step(net, torch.randn(2, 3, 32, 32), torch.tensor([1, 2]))()
    assert not torch.equal(net.blocks[0].conv1.weight, before)
    assert net.blocks[0].conv1.weight.abs().max() <= 1
