"""The page of samples: its tables, and the points of its pictures."""

import numpy as np
import pytest

from bitwright.report.page import write_page
from bitwright.report.timing import Timing
from bitwright.report.uncertainty import ALONE, DIAGONAL, Findings, ladder, page, tables


def findings(foreign: bool = True, count: int = 500) -> Findings:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, count)
    sure = 2.0 * (np.arange(3) == labels[:, None])
    known = (sure + rng.standard_normal((6, count, 3))).astype(np.float32)
    others = rng.standard_normal((6, 40, 3)).astype(np.float32)
    times = {0: Timing(1.0, 0.9, 3), **{s: Timing(float(s), float(s), 3) for s in ladder(6)}}
    return Findings("Title", labels, 10, known.mean(0), known, {"noise": (others[0], others)} if foreign else {}, times)


@pytest.mark.parametrize(("last", "steps"), [(1, [1]), (2, [1, 2]), (20, [1, 2, 5, 10, 20]), (7, [1, 2, 5, 7])])
def test_the_ladder_ends_at_the_number(last, steps):
    assert ladder(last) == steps


def test_tables_have_a_row_for_each_number_and_each_score():
    quality, detection = tables(findings())
    assert [row[0] for row in quality.rows] == [ALONE, "1 sample", "2 samples", "5 samples", "6 samples"]
    assert [row[1:3] for row in detection.rows] == [
        [ALONE, "confidence"], [ALONE, "entropy"],
        ["6 samples", "confidence"], ["6 samples", "entropy"], ["6 samples", "mutual information"],
    ]  # fmt: skip
    assert len(tables(findings(foreign=False))) == 1


def test_a_network_itself_equals_one_sample_that_is_equal_to_it():
    found = findings()
    same = Findings("", found.labels, 10, found.samples[0], found.samples, {}, found.times)
    assert same.quality(0) == same.quality(1)


def test_pictures_hold_what_was_measured():
    found = findings()
    charts = {chart.title.partition(":")[0]: chart for chart in page(found, "").charts}
    assert charts["Cost against samples"].lines["measured"] == [(1.0, 1.0), (2.0, 2.0), (5.0, 5.0), (6.0, 6.0)]
    lines = charts["Reliability"].lines
    assert lines[DIAGONAL] == [(0.0, 0.0), (1.0, 1.0)] and len(lines["6 samples"]) <= 10
    risk = charts["Risk over coverage"].lines
    assert set(risk) == {f"{ALONE}, by confidence", "6 samples, by confidence", "6 samples, by mutual information"}
    for name, points in risk.items():
        assert len(points) <= 200 and points[-1][0] == 1
        assert points[-1][1] == pytest.approx(1 - found.quality(0 if name.startswith(ALONE) else 6).accuracy)
    assert charts["Quality against samples"].lines["ECE"][-1] == (6.0, found.quality(6).ece)
    assert charts["Detection against samples"].lines["noise, by entropy"][0][0] == 1
    assert "Detection against samples" not in {c.title for c in page(findings(foreign=False), "").charts}


def test_the_page_is_written(tmp_path):
    pytest.importorskip("plotly")
    text = write_page(tmp_path / "page.html", page(findings(), "Of what.")).read_text(encoding="utf-8")
    for words in ("Of what.", "the network itself", "ms an image", "Cost against samples", "noise, by entropy"):
        assert words in text
