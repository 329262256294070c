"""The pages of the methods: current, complete, and drawn from the binarizers."""

import importlib.util
from pathlib import Path

import pytest

from bitwright import methods
from bitwright.report.runs import group_runs, read_run
from bitwright.train import parse_recipe

DOCS = Path(__file__).resolve().parents[2] / "docs"
FULL = """
title = "Method X, whole"
paper = "Author, Venue 2020, table 3"
published = 0.865
epochs = 400
data = {source = "cifar10:data"}
network = {name = "resnet20"}
method = {name = "ir_net"}
"""
SHORT = FULL.replace("400", "3") + "short = true\n"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("build_methods", DOCS / "build_methods.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pages_are_those_of_the_methods_and_the_logs(script) -> None:
    pages = script.build()
    stale = [name for name, text in pages.items() if not (DOCS / name).is_file() or (DOCS / name).read_text() != text]
    assert not stale, "python docs/build_methods.py --no-pictures writes them anew"
    written = {path.stem for path in (DOCS / "methods").glob("*.md")}
    drawn = {path.stem for path in (DOCS / "methods").glob("*.svg")}
    assert drawn == set(methods.__all__) and written == drawn | set(methods.ON_TRAINED)


def test_links_lead_somewhere(script) -> None:
    for name, text in script.build().items():
        for link in script.re.findall(r"\]\(([^)]+)\)", text):
            assert ((DOCS / name).parent / link).exists(), f"{name}: {link}"


def test_without_a_run_published_figures_stand_alone(script) -> None:
    text = "\n".join(script.results([], {"a.toml": parse_recipe(FULL), "b.toml": parse_recipe(SHORT)}))
    assert text.startswith("No run is recorded yet: the figures below are published ones only.")
    figure = "| 86.50 % | Author, Venue 2020, table 3 |"
    assert f"| [Method X, whole](../../recipes/a.toml) | 400 {figure}" in text
    assert f"| [Method X, whole](../../recipes/b.toml) | 3, short budget {figure}" in text


def test_nothing_published_is_said_in_no_column(script) -> None:
    assert script.results([], {}) == ["No run is recorded yet."]
    plain = FULL.replace("published = 0.865", "")
    assert script.results([], {"a.toml": parse_recipe(plain)})[1].splitlines()[0] == "| recipe | epochs |"


def test_measured_stands_before_published_and_says_that_it_is_short(script) -> None:
    folder = DOCS.parent / "recipes" / "sbnn" / "cifar10-resnet20-95"
    text = "\n".join(script.results(group_runs([read_run(folder)]), {"a.toml": parse_recipe(SHORT)}))
    assert text.index("57.09 %") < text.index("accuracy (published") < text.index("86.50 %")
    assert "6, short budget" in text and "[sbnn/cifar10-resnet20-95](" in text


def test_the_picture_is_the_binarizer_and_its_derivative(script) -> None:
    pytest.importorskip("plotly")
    forward, slope = script.picture(methods.bi_real_net()).data
    assert (forward.x[59], forward.y[59], forward.x[61], forward.y[61]) == pytest.approx((-0.05, -1, 0.05, 1), abs=1e-5)
    assert slope.y[60] == pytest.approx(2) and slope.y[0] == 0 and not slope.showlegend
    lines = script.picture(methods.ir_net()).data  # one forward, a derivative for the start, the middle and the end
    assert [line.name for line in lines if line.showlegend] == ["progress 0", "progress 0.5", "progress 1"]
    assert len(lines) == 4


def test_the_name_that_plotly_draws_by_lot_is_taken_out(script) -> None:
    text = '<g id="defs-a1b2c3"><clipPath id="clipa1b2c3xy"/><g clip-path="url(#clipa1b2c3xy)" fill="#a1b2c4"/></g>'
    assert script._without_lot(text) == text.replace("a1b2c3", "plot") + "\n"
