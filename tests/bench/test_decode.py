"""The script that times the decoding of weights: files of every encoding, a row for each, with the machine."""

import csv
import importlib.util
import sys
from pathlib import Path

import pytest

pytest.importorskip("tyro")

from bitwright.format import spec
from bitwright.format.writer import op_blobs

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "decode.py"
PROGRAM = f"""#!{sys.executable}
import sys
print("file,encoding,weights,density,bits_per_weight,decoded_mbs,checked_mbs")
for path in sys.argv[1:]:
    assert open(path, "rb").read(3) == b"\\x89BW"
    print(f"{{path}},gaps,576,0.5,0.25,{{'' if '0.5' in path else 900}},300")
"""


@pytest.fixture(scope="module")
def script():
    spec_ = importlib.util.spec_from_file_location("decode", SCRIPT)
    assert spec_ is not None and spec_.loader is not None
    module = importlib.util.module_from_spec(spec_)
    spec_.loader.exec_module(module)
    return module


def test_the_weights_are_of_every_encoding(script) -> None:
    graphs = map(script.graph_of, script.weights(64).values())
    found = {op_blobs(graph.ops[1])["weight"].encoding for graph in graphs}
    assert found == {spec.RAW, spec.GAPS, spec.ENTROPY, spec.PATTERNS, spec.HUFFMAN}


def test_one_row_for_each_weight(script, tmp_path, capsys) -> None:
    program, path = tmp_path / "program", tmp_path / "rows.csv"
    program.write_text(PROGRAM)
    program.chmod(0o755)
    script.main((8,), path, program)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["item"] for row in rows] == [f"3x3x8x8 {name}" for name in script.weights(8)]
    assert all(row["cpu"] and row["compiler"] and row["checked_mbs"] == "300" for row in rows)
    said = capsys.readouterr().out.splitlines()
    assert len(said) == len(rows)
    assert "decoded" not in said[0] and "900 MB/s decoded" in said[1]
