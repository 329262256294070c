"""The script that counts the bytes of files: what they are, part by part, and that they shrink."""

import csv
import importlib.util
from pathlib import Path

import pytest
from torch import nn

import bitwright as bw

pytest.importorskip("tyro")

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "file_size.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("file_size", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def small_net() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 2), nn.BatchNorm2d(16), nn.Conv2d(16, 32, 3, 4), nn.Flatten(), nn.Linear(512, 10)
    )


def test_one_row_for_each_file(script, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(bw.zoo, "small_net", small_net, raising=False)
    path = tmp_path / "rows.csv"
    script.main(("small_net",), (0.5, 0.05), path)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["real_layers"], row["density"]) for row in rows] == [
        ("float32", "0.5"), ("float32", "0.05"), ("int8", "0.5"), ("int8", "0.05"),
    ]  # fmt: skip
    for row in rows:
        parts = ("binary_weight_bytes", "real_weight_bytes", "parameter_bytes", "table_bytes")
        assert sum(int(row[part]) for part in parts) == int(row["bytes"])
        assert float(row["ratio"]) == pytest.approx(int(row["float32_bytes"]) / int(row["bytes"]), abs=0.06)
    dense, sparse, rounded, smallest = (int(row["bytes"]) for row in rows)
    assert dense > sparse > smallest < rounded < dense
    assert capsys.readouterr().out.count("1/") == 4


def test_the_rows_meet_what_the_page_promises() -> None:
    """VGG-Small of 5 % ones: 0.30 bits a binary weight and 1/60 of the float32 network, or less."""
    with (SCRIPT.parent / "results" / "file_size.csv").open(newline="") as file:
        rows = {(row["network"], row["density"], row["real_layers"]): row for row in csv.DictReader(file)}
    row = rows["vgg_small", "0.05", "int8"]
    assert float(row["bits_per_binary_weight"]) <= 0.30
    assert 60 * int(row["bytes"]) <= int(row["float32_bytes"])
