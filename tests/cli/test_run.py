import json

import numpy as np
import pytest
from PIL import Image

from bitwright.cli.run import read_pixels
from bitwright.format.writer import write
from bitwright.ir import ops
from bitwright.ir.interpret import interpret
from bitwright.ir.ops import Kind, TensorType


@pytest.fixture
def picture(rng, tmp_path):
    path = tmp_path / "picture.png"
    Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(path)
    return path


def test_run_ranks_the_classes(bw, graph, net, picture):
    done = bw("run", net, picture, "--top", 2, "--json", without=["torch"])
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(done.stdout)["results"]
    logits = interpret(graph, np.asarray(Image.open(picture))[None, None])[0]
    order = np.argsort(-logits, kind="stable")[:2]
    assert [score["label"] for score in result["scores"]] == [["ant", "bee", "cat"][i] for i in order]
    assert [score["score"] for score in result["scores"]] == [float(logits[i]) for i in order]
    assert result["label"] == result["scores"][0]["label"] and result["image"] == str(picture)


def test_run_prints_a_line_for_each_image(bw, net, picture, rng, tmp_path):
    photo = tmp_path / "photo.jpg"
    Image.fromarray(rng.integers(0, 256, (30, 50, 3), dtype=np.uint8)).save(photo)
    done = bw("run", net, picture, photo)
    assert done.returncode == 0, done.stderr
    assert "picture.png" in done.stdout and "photo.jpg" in done.stdout


def test_what_is_no_image_is_named(bw, net, picture, tmp_path, refused):
    text = tmp_path / "text.png"
    text.write_text("no picture")
    refused(bw("run", net, picture, text), "text.png")
    refused(bw("run", net, tmp_path / "missing.png"), "missing.png")
    refused(bw("run", net), "no image given")
    refused(bw("run", net, picture, "--top", 0), "--top")


def test_a_network_of_real_numbers_takes_no_images(bw, picture, tmp_path, refused):
    path = tmp_path / "real.bw"
    clamp = ops.Clamp(name="y", inputs=("x",), low=0.0, high=1.0)
    write(ops.Graph("x", TensorType(Kind.REAL, (1, 8, 8)), (clamp,), "y"), path)
    refused(bw("run", path, picture), "pixels=(mean, std)")


def test_pixels_fill_the_input_from_the_centre(tmp_path):
    path = tmp_path / "wide.png"
    wide = np.zeros((4, 8, 3), np.uint8)
    wide[:, 2:6] = 200
    Image.fromarray(wide).save(path)
    assert np.array_equal(read_pixels(path, 4, 4, 3), wide[:, 2:6])
    assert read_pixels(path, 2, 4, 1).shape == (2, 4, 1)
