"""The suite of sparsity: the network at each density, its dense twin in turn, and the rows that come of it."""

import csv

import numpy as np
import pytest

from bitwright.bench.item import Setting
from bitwright.bench.networks import NETWORKS, Network
from bitwright.bench.rows import result_rows
from bitwright.bench.run import ITEMS, run_item
from bitwright.bench.sparsity import DENSITIES, dense_twin, sparsity_item
from bitwright.cli.main import main
from bitwright.format.writer import to_bytes
from bitwright.ir import ops

zoo = pytest.importorskip("bitwright.zoo")


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NETWORKS, "tiny", Network(lambda: zoo.vgg_small(width=16), 32))


def binary(graph: ops.Graph) -> list[ops.BinaryConv]:
    return [op for op in graph.ops if isinstance(op, ops.BinaryConv)]


def test_half_of_the_ones_is_another_network_than_the_twin() -> None:
    item = sparsity_item("tiny", (0.5, 0.05))
    assert list(item.graphs) == [0.5, 0.05]
    for density, graph in item.graphs.items():
        for layer in binary(graph):
            assert not layer.signed and np.mean(layer.weight) == pytest.approx(density, abs=1 / layer.weight.size)
    assert all(layer.signed for layer in binary(item.binary)) and len(binary(item.binary)) == 5
    assert item.binary.input_type == item.graphs[0.5].input_type


def test_rows_have_the_twin_as_their_peer_and_sizes() -> None:
    item = sparsity_item("tiny", (0.25, 0.01))
    result = run_item(item, "sparsity", [dense_twin("portable")], Setting(), isa="portable", rounds=1)
    rows = result_rows(result, "sparsity", Setting())
    assert [(row["density"], row["peer"], row["way"], row["peer_isa"]) for row in rows] == [
        (density, "bitwright", "dense", "portable") for density in (0.25, 0.01)
    ]
    for row in rows:
        assert row["ratio"] == pytest.approx(row["peer_median_us"] / row["median_us"], rel=0.01)
        assert row["dense_bytes"] == len(to_bytes(item.binary))
    assert rows[1]["bytes"] < rows[1]["dense_bytes"]
    assert 0.81 < rows[0]["bits_per_weight"] < 0.81 * 1.05 and 0.08 < rows[1]["bits_per_weight"] < 0.1


def test_the_command_writes_rows(tmp_path, capsys) -> None:
    rows = tmp_path / "rows.csv"
    command = ["bench", "--suite", "sparsity", "--items", "tiny", "--densities", "0.1", "--runs", "1"]
    assert main([*command, "--isa", "portable", "--output", str(rows)]) == 0
    assert "bitwright dense" in capsys.readouterr().out
    with rows.open() as file:
        (row,) = csv.DictReader(file)
    assert (row["suite"], row["item"], row["density"], row["isa"]) == ("sparsity", "tiny", "0.1", "portable")


def test_the_networks_and_densities_are_those_of_the_plots() -> None:
    assert ITEMS["sparsity"] == ("resnet20", "vgg_small", "resnet18-32") and set(ITEMS["sparsity"]) < set(NETWORKS)
    assert DENSITIES == (0.5, 0.25, 0.1, 0.05, 0.01)
    with pytest.raises(ValueError, match="resnet20, vgg_small"):
        sparsity_item("resnet19")
    with pytest.raises(ValueError, match=r"found 0\.6"):
        sparsity_item("tiny", (0.6,))
