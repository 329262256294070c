"""docs/detection.md: its Python runs, and its recipe is one."""

import re
from pathlib import Path

from bitwright.train import parse_recipe

PAGE = Path(__file__).resolve().parents[2] / "docs" / "detection.md"


def test_the_python_of_the_page_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, object] = {}
    for block in blocks:
        exec(block, names)
    (shown,) = re.findall(r"^# (\{.*\})$", blocks[0], re.MULTILINE)
    assert capsys.readouterr().out.strip() == shown
    told = re.search(r"# classes0 (\(.*?\)), boxes0 (\(.*?\))", blocks[1])
    outputs = names["outputs"]
    assert told and isinstance(outputs, dict)
    assert told.groups() == tuple(str(tuple(outputs[name].shape)) for name in ("classes0", "boxes0"))


def test_the_recipe_of_the_page_is_read():
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    recipe = parse_recipe(text)
    assert [recipe.stage(i).detection.size for i in range(2)] == [0, 64] and recipe.stage(1).start == "stage:classify"
