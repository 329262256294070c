"""The recipes of docs/self-supervised.md are recipes."""

import re
from pathlib import Path

from bitwright.train import parse_recipe

PAGE = Path(__file__).resolve().parents[2] / "docs" / "self-supervised.md"


def test_the_recipes_of_the_page_are_read():
    whole, guided, rounds = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    first = parse_recipe(whole)
    assert (first.stage(0).pretext.name, first.stage(1).pretext.name, first.stage(1).train) == ("rotation", "", "head")
    table = re.compile(r"stages = \[.*?\n\]\n\n|\[pretext\].*?\n\n", re.DOTALL)
    stages, tables = guided.split("\n\n", 1)
    taught = parse_recipe(f"{stages}\n{table.sub('', whole)}\n{tables}")
    assert [taught.stage(index).teacher.source for index in range(4)] == ["", "stage:teacher", "stage:teacher", ""]
    assert taught.stage(2).teacher.divergence == "guided" and taught.stage(3).pretext.name == ""
    pruned = parse_recipe(re.sub(r"stages = \[.*?\n\]\n", lambda match: rounds, whole, flags=re.DOTALL))
    assert [stage["name"] for stage in pruned.stages] == ["early", *(f"round{i}" for i in range(7)), "labels"]
    assert pruned.stage(7).pruning.density == 0.04 and pruned.stage(8).pruning.by == "stage:round6"
