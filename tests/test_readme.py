"""The README's tour is run as it stands."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)


@pytest.mark.parametrize("block", range(len(BLOCKS)))
def test_code_block_runs(block, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(BLOCKS[block], names)
    assert names["logits"].shape == (64, 10)
    assert (tmp_path / "net.bw").stat().st_size < 100_000
    assert "bits" in capsys.readouterr().out


def test_there_is_a_tour():
    assert BLOCKS
