"""docs/distillation.md: its example runs, its recipes are read, its figures are counted."""

import re
import tomllib
from pathlib import Path

import torch

import bitwright as bw
from bitwright import distill
from bitwright.train.optional_tables import Teaching
from bitwright.train.toml_form import build

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "distillation.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.S)


def test_the_example_runs() -> None:
    (example,) = blocks("python")
    names: dict = {}
    exec(example, names)
    assert all(p.grad is not None for p in names["student"].parameters())
    assert all(p.grad is None for p in names["teacher"].parameters())


def test_the_recipes_are_read() -> None:
    tables = [tomllib.loads(block) for block in blocks("toml")]
    teachers = [table.get("teacher") or table["stages"][1]["teacher"] for table in tables]
    assert [build(Teaching, teacher).source for teacher in teachers] == [
        "runs/resnet20", "resnet18-cifar10.pth", "stage:real",
    ]  # fmt: skip
    known = {field for teacher in teachers for field in teacher}
    assert known | {"inputs"} == {*Teaching.__dataclass_fields__}


def test_every_function_is_listed() -> None:
    assert all(f"| `{name}(" in PAGE for name in distill.__all__)


def test_the_overhead_is_what_is_counted() -> None:
    for method in (bw.methods.bi_real_net, bw.methods.dgrl):
        found = bw.count(bw.binarize(bw.zoo.resnet20(), method()), torch.zeros(1, 3, 32, 32))
        figures = (found.real_weights, found.flops, found.bops, found.memory_bits)
        assert f"| `{method.__name__}()` | {' | '.join(f'{value:,}' for value in figures)} |" in PAGE
