"""The plots and tables of the benchmark page, from rows."""

import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("plotly")

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "draw.py"
PEAKS = [{"isa": "avx2", "bits": "256", "logic_gops": "10", "l1_gbs": "3", "l2_gbs": "2", "memory_gbs": "1"}]


@pytest.fixture(scope="module")
def draw():
    spec = importlib.util.spec_from_file_location("draw", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def row(item: str, density: str, ours: str, peer: str, theirs: str, **others: str) -> dict[str, str]:
    about = {"cpu": "a cpu", "vectors": "avx2", "compiler": "a compiler", "bitwright": "0.1", "peer_version": "7"}
    limits = {"isa": "avx2", "environment": "", "threads": "1", "batch": "1", **others}
    ratio = str(float(theirs) / float(ours))
    times = {"median_us": ours, "peer_median_us": theirs, "ratio": ratio}
    return {**about, **limits, "item": item, "density": density, "peer": peer, "way": "int8", **times}


ROWS = [
    row("8x8x64", "0.5", "9", "a", "18"),
    row("8x8x64", "0.5", "2", "a", "8"),
    row("8x8x64", "0.1", "1", "a", "8"),
    row("8x8x64", "0.5", "2", "b", "6"),
    row("4x4x8", "0.5", "5", "a", "5"),
    row("8x8x64", "0.5", "3", "a", "33", threads="2"),
    row("8x8x64", "0.5", "4", "a", "44", isa="avx512"),
    row("8x8x64", "0.1", "1", "b", "6"),
]


def test_the_last_row_of_the_same_limits_counts(draw) -> None:
    found = draw.select(ROWS)
    assert [(r["item"], r["density"], r["peer"], r["median_us"]) for r in found] == [
        ("8x8x64", "0.5", "a", "2"),
        ("8x8x64", "0.1", "a", "1"),
        ("8x8x64", "0.5", "b", "2"),
        ("4x4x8", "0.5", "a", "5"),
        ("8x8x64", "0.1", "b", "1"),
    ]
    assert [r["median_us"] for r in draw.select(ROWS, isa="avx512")] == ["4"]
    with pytest.raises(SystemExit, match="no rows of neon"):
        draw.select(ROWS, isa="neon")


def test_the_table_holds_our_times_and_the_ratios(draw) -> None:
    lines = draw.table(draw.select(ROWS)).splitlines()
    assert lines[0] == "a cpu (avx2), a compiler, bitwright 0.1 avx2, a 7, b 7, limits: none:"
    assert lines[2] == "|  | ours, density 0.5 | ours, density 0.1 | a int8 | b int8 |"
    assert lines[4:] == ["| 8x8x64 | 2.0 | 1.0 | 8.0 (4.0) | 6.0 (3.0) |", "| 4x4x8 | 5.0 |  | 5.0 (1.0) |  |"]


def test_plots_show_every_side(draw) -> None:
    rows = draw.select(ROWS)
    bars = draw.bars(rows, "title")
    assert [(bar.name, list(bar.x), list(bar.y)) for bar in bars.data] == [
        ("bitwright", ["8x8x64", "4x4x8"], [2, 5]),
        ("a int8", ["8x8x64", "4x4x8"], [8, 5]),
        ("b int8", ["8x8x64"], [6]),
    ]
    lines = draw.against_density(rows)
    assert [(line.name, list(line.y)) for line in lines.data] == [("8x8x64", [1, 2]), ("4x4x8", [None, 5])]


def test_the_roofline_counts_work_and_bytes(draw) -> None:
    macs, size = draw.work("8x8x64")
    assert (macs, size) == (64 * 64 * 9 * 64, (64 * 64 * 9 + 2 * 64 * 64) / 8)
    assert draw.work("linear4096") == (4096 * 4096, (4096 * 4096 + 2 * 4096) / 8)
    figure = draw.roofline(draw.select(ROWS), PEAKS)
    assert [trace.name for trace in figure.data] == [
        "density 0.5",
        "density 0.1",
        "memory, 1 GB/s",
        "L2, 2 GB/s",
        "one row at a time, 1024 GMAC/s",
    ]
    assert figure.data[0].y[0] == pytest.approx(macs / 2 / 1e3)


def test_the_training_table_holds_the_last_row_of_each_method(draw) -> None:
    about = {"cpu": "a cpu", "vectors": "avx2", "torch": "2", "network": "n", "threads": "1", "environment": ""}

    def step(method: str, median: str, batch: str = "32") -> dict[str, str]:
        times = {"median_ms": median, "float_median_ms": "200.4", "ratio": str(float(median) / 200.4)}
        return {**about, "batch": batch, "method": method, **times}

    rows = [step("a", "300"), step("a", "260.2"), step("b", "220"), step("c", "100", batch="8"), step("d", "250")]
    lines = draw.training_table(rows).splitlines()
    assert lines[0] == "a cpu (avx2), torch 2, n, batch 32, 1 thread, limits: none:"
    assert lines[4:] == ["| `b` | 220 | 200 | 1.10 |", "| `d` | 250 | 200 | 1.25 |", "| `a` | 260 | 200 | 1.30 |"]


def test_the_decoding_table_holds_the_last_row_of_each_weight(draw) -> None:
    about = {"cpu": "a cpu", "vectors": "avx2", "compiler": "cc 1"}

    def weight(item: str, decoded: str, cpu: str = "a cpu") -> dict[str, str]:
        found = {"encoding": "gaps", "bits_per_weight": "0.0812", "decoded_mbs": decoded, "checked_mbs": "200"}
        return {**about, "cpu": cpu, "item": item, **found}

    rows = [weight("a", "900", "another"), weight("b", "700"), weight("b", "800"), weight("c", "")]
    lines = draw.decoding_table(rows).splitlines()
    assert lines[0] == "a cpu (avx2), cc 1:"
    assert lines[4:] == ["| b | gaps | 0.081 | 800 | 200 |", "| c | gaps | 0.081 | - | 200 |"]


def test_the_page_has_a_place_for_each_table(draw) -> None:
    page = (SCRIPT.parents[1] / "docs" / "benchmarks.md").read_text()
    for name in ("layers", "networks", "density", "roofline", "training", "decoding"):
        page = draw.fill(page, name, f"table of {name}")
        page = draw.fill(page, name, f"table of {name}, again")
    assert page.count("table of layers") == page.count("table of networks, again") == 1
    with pytest.raises(SystemExit, match="no <!-- peers -->"):
        draw.fill(page, "peers", "")
