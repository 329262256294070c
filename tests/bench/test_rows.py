"""Rows of results: one for each density and peer, all with the same columns; and the suite on the command line."""

import csv
import json

import pytest

from bitwright.bench.item import DENSE, Item, Setting
from bitwright.bench.layers import layer_item
from bitwright.bench.peer import Peer, Way
from bitwright.bench.rows import add_rows, result_rows
from bitwright.bench.run import run_item
from bitwright.bench.turns import Entrant
from bitwright.cli.main import main

COLUMNS = (
    "date,commit,cpu,vectors,system,compiler,python,bitwright,numpy,environment,threads,batch,suite,item,density,isa,"
    "kernel,bytes,runs,median_us,min_us,peer,way,peer_version,peer_isa,peer_runs,peer_median_us,peer_min_us,ratio,"
    "ratio_min"
)


def peer(*names: str) -> Peer:
    def build(item: Item, setting: Setting) -> Entrant:
        return Entrant(lambda runs: (4.0, 3.0), "any", "1.0")

    return Peer("other", ("numpy",), tuple(Way(name, build) for name in names))


def test_one_row_for_each_density_and_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    item = layer_item("6x6x16", (DENSE, 0.1))
    result = run_item(item, "layers", [peer("float32", "int8")], Setting(), isa="portable", rounds=1)
    rows = result_rows(result, "layers", Setting())
    assert [(row["density"], row["way"]) for row in rows] == [
        (d, way) for d in (0.5, 0.1) for way in ("float32", "int8")
    ]
    for row in rows:
        assert ",".join(row) == COLUMNS
        assert (row["peer"], row["peer_median_us"], row["peer_min_us"]) == ("other", 4000, 3000)
        assert row["ratio"] == pytest.approx(4000 / row["median_us"], rel=0.01)
        assert (row["item"], row["isa"], row["environment"]) == ("6x6x16", "portable", "ONEDNN_MAX_CPU_ISA=AVX2")
        assert row["cpu"] and row["compiler"] != "unknown"


def test_without_peers_our_side_has_its_rows() -> None:
    result = run_item(layer_item("6x6x16", (DENSE,)), "layers", [], Setting(), rounds=1)
    (row,) = result_rows(result, "layers", Setting())
    assert ",".join(row) == COLUMNS
    assert row["median_us"] > 0 and row["peer"] == row["ratio"] == ""


def test_rows_are_added_under_one_header_and_never_under_another(tmp_path) -> None:
    path = tmp_path / "deep" / "rows.csv"
    add_rows(path, [{"a": 1, "b": 2}])
    add_rows(path, [{"a": 3, "b": 4}])
    assert path.read_text() == "a,b\n1,2\n3,4\n"
    with pytest.raises(ValueError, match="other columns"):
        add_rows(path, [{"a": 1, "c": 2}])


def test_the_command_writes_rows_and_names_who_is_missing(tmp_path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    from bitwright.bench.peers import PEERS

    monkeypatch.setitem(PEERS, "other", peer("float32"))
    monkeypatch.setitem(PEERS, "gone", Peer("gone", ("no_such_module",), ()))
    rows = tmp_path / "rows.csv"
    command = ["bench", "--suite", "layers", "--items", "6x6x16", "--densities", "0.1", "--runs", "1"]
    assert main([*command, "--peers", "other,gone", "--isa", "portable", "--output", str(rows)]) == 0
    text = capsys.readouterr().out
    assert "other float32" in text and "density 0.1" in text and "gone: not installed: no_such_module" in text
    with rows.open() as file:
        assert [(row["density"], row["peer"]) for row in csv.DictReader(file)] == [("0.5", "other"), ("0.1", "other")]
    assert main([*command, "--peers", "gone", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["absent"] == {"6x6x16": {"gone": "not installed: no_such_module"}}
    assert len(result["rows"]) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "either a file or --suite"),
        (["net.bw", "--suite", "layers"], "either a file or --suite"),
        (["--suite", "layers", "--against", "torch"], "--against goes with a file"),
        (["--suite", "layers", "--peers", "numpyy"], "expected some of torch, onnxruntime, openvino, lce"),
        (["--suite", "layers", "--items", "6x6x16", "--threads", "2", "--peers", ""], "one thread"),
    ],
)
def test_mistakes_are_told(arguments, message, capsys) -> None:
    assert main(["bench", *arguments]) == 2
    assert message in capsys.readouterr().err
