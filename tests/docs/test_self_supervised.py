"""The recipes of docs/self-supervised.md are recipes."""

import re
from pathlib import Path

from bitwright.train import parse_recipe

PAGE = Path(__file__).resolve().parents[2] / "docs" / "self-supervised.md"


def test_the_recipes_of_the_page_are_read():
    whole, rounds = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    first = parse_recipe(whole)
    assert (first.stage(0).pretext.name, first.stage(1).pretext.name, first.stage(1).train) == ("rotation", "", "head")
    pruned = parse_recipe(re.sub(r"stages = \[.*?\n\]\n", lambda match: rounds, whole, flags=re.DOTALL))
    assert [stage["name"] for stage in pruned.stages] == ["early", *(f"round{i}" for i in range(7)), "labels"]
    assert pruned.stage(7).pruning.density == 0.04 and pruned.stage(8).pruning.by == "stage:round6"
