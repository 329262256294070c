import base64
import io
import re

import numpy as np
import pytest
from PIL import Image
from run_folders import own_text

from bitwright.report.page import LayerMaps, Page, Sample, Size, write_page
from bitwright.report.table import Table

pytest.importorskip("plotly")
PAGE = Page(
    title="Digits <5,000>",
    introduction="What came of it.",
    facts=[("accuracy of the packed file", "97.10 %")],
    curves={"Loss": {"training": [(0, 1.5), (1, 0.5)], "validation": [(0, 1.25), (1, 0.75)]}},
    sizes=[Size("float32 checkpoint", 400_000, 0.97), Size("packed file", 9_000, 0.968)],
    density={"features.3": 0.125},
    latency={"bitwright": 0.0625, "PyTorch float32": 1.5},
    tables=[Table("Runs <all>", ["method", "accuracy"], [["sbnn", "61 %"]], "lr", ["[1] a source"])],
    layers=[LayerMaps("layers by epoch", ["blocks.7"], {"flips": np.array([[np.nan, 0.4375]])})],
    samples=[
        Sample(np.arange(64, dtype=np.uint8).reshape(8, 8), "seven", "seven"),
        Sample(np.zeros((8, 8, 3), np.uint8), "cat", "dog"),
    ],
)


def test_page_shows_everything_it_was_given(tmp_path):
    text = own_text(write_page(tmp_path / "report.html", PAGE))
    assert "Digits &lt;5,000&gt;" in text and "Digits <5,000>" not in text
    for expected in (
        "97.10 %",
        "What came of it.",
        "1.25",
        "packed file",
        "features.3",
        "12.5 %",
        "0.0625",
        "dog, not cat",
        "Runs &lt;all&gt;",
        "61&nbsp;%",
        "[1] a source",
        "blocks.7",
        "[[null,0.4375]]",
    ):
        assert expected in text


def test_page_needs_no_network(tmp_path):
    path = write_page(tmp_path / "report.html", PAGE)
    assert "Plotly.newPlot" in path.read_text(encoding="utf-8")
    loads = re.findall(r"<(?:script|link|img|iframe)[^>]*(?:src|href)=[\"']?([^\"' >]+)", own_text(path))
    assert len(loads) == 2 and all(address.startswith("data:image/png;base64,") for address in loads)
    assert "http://" not in own_text(path) and "https://" not in own_text(path)


def test_samples_are_the_images_themselves(tmp_path):
    text = own_text(write_page(tmp_path / "report.html", PAGE))
    encoded = re.findall(r"base64,([^\"]+)", text)[0]
    with Image.open(io.BytesIO(base64.b64decode(encoded))) as image:
        assert np.array_equal(np.asarray(image), PAGE.samples[0].image)


def test_empty_parts_are_left_out(tmp_path):
    text = own_text(write_page(tmp_path / "report.html", Page("Nothing yet")))
    assert "<h1>Nothing yet</h1>" in text
    assert "<h2>" not in text and "<table" not in text


def test_a_page_that_cannot_be_written_leaves_nothing_behind(tmp_path, monkeypatch):
    path = write_page(tmp_path / "report.html", Page("before"))
    bad = Sample(np.zeros((2, 2, 7), np.uint8), "a", "a")
    with pytest.raises(TypeError):
        write_page(path, Page("after", samples=[bad]))
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]
    assert "before" in own_text(path)
