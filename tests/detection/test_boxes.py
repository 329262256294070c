"""Boxes: overlaps and suppression against brute force, decoding against the equations."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bitwright.detection import box_overlaps, decode_boxes, suppress
from bitwright.detection.cells import cell_grid, level_names

CORNERS = arrays(np.int64, st.tuples(st.integers(0, 6), st.just(2), st.just(2)), elements=st.integers(0, 7))


def boxes_of(corners):
    """Boxes on a grid of pixels, some of them empty."""
    return np.concatenate([corners.min(1), corners.max(1)], 1).astype(np.float32)


def pixels(box):
    x0, y0, x1, y1 = box.astype(int)
    return {(x, y) for x in range(x0, x1) for y in range(y0, y1)}


@given(CORNERS, CORNERS)
def test_the_overlap_is_a_share_of_pixels(a, b):
    a, b = boxes_of(a), boxes_of(b)
    found = box_overlaps(a, b)
    assert found.shape == (len(a), len(b))
    for i, one in enumerate(map(pixels, a)):
        for j, other in enumerate(map(pixels, b)):
            expected = len(one & other) / len(one | other) if one | other else 0
            assert found[i, j] == pytest.approx(expected)


@given(CORNERS, st.integers(0, 10**6), st.sampled_from([0.0, 0.3, 0.5, 0.9]))
def test_of_rivals_the_surest_stays(corners, seed, overlap):
    random, boxes = np.random.default_rng(seed), boxes_of(corners)
    scores, classes = random.integers(0, 4, len(boxes)) / 4, random.integers(0, 2, len(boxes))
    kept = []
    for i in sorted(range(len(boxes)), key=lambda i: (-scores[i], i)):
        overlaps = [box_overlaps(boxes[[i]], boxes[[j]])[0, 0] for j in kept if classes[j] == classes[i]]
        if all(value <= overlap for value in overlaps):
            kept.append(i)
    assert suppress(boxes, scores, classes, overlap).tolist() == kept


def test_cells_lie_side_by_side():
    centres, strides = cell_grid([(2, 3)], (8, 12))
    assert centres.tolist() == [[2, 2], [6, 2], [10, 2], [2, 6], [6, 6], [10, 6]] and set(strides) == {4.0}
    assert cell_grid([(4, 4), (2, 2)], (8, 8))[1].tolist() == [2.0] * 16 + [4.0] * 4
    with pytest.raises(ValueError, match="a map of 3x3 cells does not divide an image of 8x8 pixels into squares"):
        cell_grid([(3, 3)], (8, 8))


def test_outputs_are_paired_by_name():
    assert level_names(["boxes1", "classes1", "classes0", "boxes0"]) == [("classes1", "boxes1"), ("classes0", "boxes0")]
    for names in ([], ["classes0"], ["logits"], ["classes0", "boxes0", "top"]):
        with pytest.raises(ValueError, match="expected a detector's"):
            level_names(names)


def outputs_of(*cells, classes=3, sides=(8, 4)):
    """Maps in which nothing is there but at (level, row, column), class, logit, distances."""
    maps = {}
    for level, side in enumerate(sides):
        maps[f"classes{level}"] = np.full((1, classes, side, side), -12.0, np.float32)
        maps[f"boxes{level}"] = np.zeros((1, 4, side, side), np.float32)
    for (level, row, column), label, logit, distances in cells:
        maps[f"classes{level}"][0, label, row, column] = logit
        maps[f"boxes{level}"][0, :, row, column] = np.log(distances)
    return maps


def test_a_cell_says_where_the_sides_are():
    (found,) = decode_boxes(outputs_of(((0, 2, 3), 1, 3.0, [1, 2, 3, 4]), ((1, 3, 0), 2, 0.0, [1, 1, 1, 1])), (32, 32))
    assert found.classes.tolist() == [1, 2]
    np.testing.assert_allclose(found.boxes, [[14 - 4, 10 - 8, 14 + 12, 10 + 16], [0, 20, 12, 32]], rtol=1e-5)
    np.testing.assert_allclose(found.scores, [1 / (1 + np.exp(-3)), 0.5], rtol=1e-5)


def test_twins_of_a_class_are_one_and_limits_hold():
    twin, other = ((0, 2, 3), 1, 3.0, [4, 4, 4, 4]), ((0, 2, 4), 1, 2.0, [5, 4, 3, 4])
    (found,) = decode_boxes(outputs_of(twin, other), (32, 32))
    assert len(found.boxes) == 1
    (found,) = decode_boxes(outputs_of(twin, (other[0], 2, *other[2:])), (32, 32))
    assert found.classes.tolist() == [1, 2]
    maps = outputs_of(twin, (other[0], 2, *other[2:]))
    assert [len(d.boxes) for d in decode_boxes(maps, (32, 32), most=1)] == [1]
    assert [len(d.boxes) for d in decode_boxes(maps, (32, 32), candidates=1)] == [1]
    assert [d.classes.tolist() for d in decode_boxes(maps, (32, 32), threshold=0.9)] == [[1]]


def test_wild_distances_make_whole_images_not_infinities():
    maps = outputs_of(((0, 0, 0), 0, 900.0, [1, 1, 1, 1]))
    maps["boxes0"][:] = 1e4
    (found,) = decode_boxes(maps, (32, 32))
    assert found.boxes.tolist() == [[0, 0, 32, 32]]


def test_boxes_are_decoded_without_torch():
    code = (
        "import sys; sys.modules['torch'] = None; import numpy as np; import bitwright as bw;"
        "maps = {'classes0': np.ones((1, 1, 2, 2)), 'boxes0': np.zeros((1, 4, 2, 2))};"
        "found = bw.detection.decode_boxes(maps, (8, 8));"
        "print(len(found), bw.detection.mean_precision(found, found[0].boxes[None, :1], np.zeros((1, 1), int)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[0] == "1"
