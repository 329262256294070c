"""The plots and the table of the suite of sparsity, from rows and run folders."""

import csv
import importlib.util
import sys
from pathlib import Path

import pytest
from run_folders import write_run

from bitwright.report.runs import group_runs, read_run

pytest.importorskip("plotly")

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def draw():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        spec = importlib.util.spec_from_file_location("draw_sparsity", FOLDER / "draw_sparsity.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        sys.modules.pop("draw", None)
        return module


def row(density: float, ours: float, isa: str = "avx2", item: str = "resnet20") -> dict[str, str]:
    about = {"cpu": "a cpu", "vectors": "avx2", "compiler": "a compiler", "bitwright": "0.1", "environment": ""}
    limits = {"threads": "1", "batch": "1", "isa": isa, "item": item, "peer": "bitwright", "way": "dense"}
    times = {"median_us": str(ours), "peer_median_us": "100", "ratio": str(100 / ours)}
    sizes = {"bytes": str(80_000 * (density + 0.5)), "dense_bytes": "70000", "bits_per_weight": str(2 * density)}
    return {**about, **limits, "density": str(density), **times, **sizes}


ROWS = [row(0.5, 200), row(0.25, 125), row(0.1, 80), row(0.05, 60), row(0.01, 50)]


def test_the_break_even_density_lies_between_the_last_that_is_slower_and_the_first_that_is_faster(draw) -> None:
    density, words = draw.break_even(ROWS)
    assert density == pytest.approx((0.25 * 0.1) ** 0.5, rel=1e-3)  # 125 and 80: as far from 100, in ratio
    assert words == "15.8 %"
    assert draw.break_even(ROWS[2:]) == (None, "above 10 %")
    assert draw.break_even(ROWS[:2]) == (None, "below 25 %")
    assert draw.break_even([*ROWS[:4], row(0.01, 101)]) == (None, "below 1 %")


def test_the_table_holds_times_sizes_and_the_break_even_density(draw) -> None:
    later = [row(0.5, 300, "avx512"), row(0.1, 90, "avx512"), row(0.5, 190)]
    lines = draw.table([*ROWS, *later]).splitlines()
    assert lines[0] == "a cpu (avx2), a compiler, bitwright 0.1 avx2, limits: none:"
    assert lines[4] == "| resnet20, us | 100.0 | 190.0 | 125.0 | 80.0 | 60.0 | 50.0 | 15.8 % |"
    assert lines[5] == "| resnet20, file in kB | 70.0 | 80.0 | 60.0 | 48.0 | 44.0 | 40.8 |  |"
    assert lines[6] == "| resnet20, bits a binary weight | 1 | 1.000 | 0.500 | 0.200 | 0.100 | 0.020 |  |"
    assert lines[8] == "a cpu (avx2), a compiler, bitwright 0.1 avx512, limits: none:"
    assert lines[12] == "| resnet20, us | 100.0 | 300.0 |  | 90.0 |  |  | 11.5 % |"


def test_the_plot_shows_each_side_and_the_accuracy_of_seeds(draw, tmp_path) -> None:
    folders = [
        write_run(tmp_path / f"{share}-{seed}", seed=seed, accuracy=0.5 + 0.1 * seed, results={"density": share},
                  method={"name": "sbnn", "sparsity": 1 - share})
        for share in (0.5, 0.1) for seed in (0, 1)
    ]  # fmt: skip
    groups = group_runs(map(read_run, [*folders, write_run(tmp_path / "x", method={"name": "none"})]))
    chosen = [group for group in groups if draw.of_network(group, "resnet20")]
    assert draw.accuracies(chosen[:1]) == {} and len(draw.plot(ROWS, "resnet20", []).data) == 4
    assert len(chosen) == 2 and not any(draw.of_network(group, "vgg_small") for group in groups)
    figure = draw.plot(ROWS, "resnet20", chosen)
    assert [line.name for line in figure.data] == [
        "avx2", "avx2, dense twin", "file", "file, dense twin", "sbnn, resnet20, 2 epochs",
    ]  # fmt: skip
    assert list(figure.data[0].y) == [200, 125, 80, 60, 50] and set(figure.data[1].y) == {100}
    assert list(figure.data[4].x) == [0.1, 0.5] and list(figure.data[4].y) == pytest.approx([55, 55])
    assert "15.8 %" in figure.layout.title.text
    assert list(figure.layout.xaxis.ticktext) == ["99", "95", "90", "75", "50"]


def test_the_page_gets_the_table_and_a_plot_for_each_network(draw, tmp_path, monkeypatch) -> None:
    with (tmp_path / "sparsity.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(ROWS[0]))
        writer.writeheader()
        writer.writerows([*ROWS, *(row(density, 90, item="vgg_small") for density in (0.5, 0.01))])
    monkeypatch.setattr(draw.go.Figure, "write_image", lambda self, path: Path(path).write_text("picture"))
    page = tmp_path / "page.md"
    page.write_text((FOLDER.parent / "docs" / "benchmarks.md").read_text())
    draw.main(results=tmp_path, recipes=tmp_path, page=page)
    text = page.read_text()
    assert "(page/sparsity-resnet20.svg)" in text and "(page/sparsity-vgg_small.svg)" in text
    assert "| vgg_small, us | 100.0 | 90.0 |  |  |  | 90.0 | above 50 % |" in text
    assert (tmp_path / "page" / "sparsity-resnet20.svg").read_text() == "picture"
