"""Rendered scenes: where the boxes lie, what is in them, and that all follows from the seed."""

import numpy as np
import pytest

from bitwright.detection import box_overlaps, scenes
from bitwright.detection.rendering import CROWDING


def drawings(count=12, side=12, channels=1, seed=0):
    """A bright block in a black image, of a size of its own; the class is whether it is wide."""
    random = np.random.default_rng(seed)
    images = np.zeros((count, side, side, channels), np.uint8)
    heights, widths = random.integers(3, side - 2, (2, count))
    for image, height, width in zip(images, heights, widths, strict=True):
        image[1 : 1 + height, 2 : 2 + width] = 255
    return images, (widths > heights).astype(np.int64)


def test_boxes_lie_inside_and_are_filled_and_keep_clear_of_each_other():
    made = scenes(*drawings(), size=40, count=60, objects=(1, 4), clutter=0, seed=3)
    assert made.images.shape == (60, 40, 40, 1) and made.boxes.shape == (60, 4, 4) and made.boxes.dtype == np.float32
    there = made.labels >= 0
    assert there[:, 0].all() and there[:, 1:].any() and not there.all()
    assert (there[:, :-1] >= there[:, 1:]).all()  # the padding comes last
    boxes = made.boxes[there]
    assert (boxes >= 0).all() and (boxes <= 40).all() and (boxes[:, 2:] > boxes[:, :2]).all()
    assert (made.boxes[~there] == 0).all()
    for image, own, here in zip(made.images, made.boxes, there, strict=True):
        for x0, y0, x1, y1 in own[here].astype(int):
            assert np.median(image[y0:y1, x0:x1]) > 200  # the box is that of the strokes, not of the black around
        overlaps = box_overlaps(own[here], own[here])
        assert (overlaps[~np.eye(len(overlaps), dtype=bool)] <= CROWDING).all()


def test_a_label_is_that_of_its_image():
    made = scenes(*drawings(), size=40, count=40, scale=(1, 1), seed=1)
    there = made.labels >= 0
    sides = made.boxes[there][:, 2:] - made.boxes[there][:, :2]
    assert ((sides[:, 0] > sides[:, 1]) == (made.labels[there] == 1)).all()


def test_all_follows_from_the_seed():
    one, again, other = (scenes(*drawings(), size=32, count=5, seed=seed) for seed in (7, 7, 8))
    assert all(np.array_equal(getattr(one, part), getattr(again, part)) for part in ("images", "boxes", "labels"))
    assert not np.array_equal(one.images, other.images)


def test_a_scene_holds_the_images_that_were_given_and_no_others():
    images = np.stack([np.full((6, 6, 3), value, np.uint8) for value in (100, 150, 200, 250)])
    for part in (slice(0, 2), slice(2, 4)):
        made = scenes(images[part], np.arange(4)[part], size=24, count=20, scale=(1, 1), clutter=0)
        for image, boxes, labels in zip(made.images, made.boxes, made.labels, strict=True):
            x0, y0, x1, y1 = boxes[labels >= 0][-1].astype(int)  # what was pasted last
            assert (image[y0:y1, x0:x1] == images[labels[labels >= 0][-1]]).all()
            assert labels.max() in np.arange(4)[part]


def test_clutter_is_more_than_noise():
    plain, full = (scenes(*drawings(), size=48, count=10, objects=(1, 1), clutter=n, seed=0) for n in (0, 20))
    assert (full.images > 200).mean() > 1.5 * (plain.images > 200).mean()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 12}, "12x12 pixels, 1.25 times as large, do not fit into a scene of 12x12"),
        ({"objects": (0, 2)}, "expected the fewest and the most, from 1 on"),
        ({"objects": (3, 2)}, "expected the fewest and the most"),
        ({"scale": (0.0, 1.0)}, "expected the smallest and the largest factor"),
    ],
)
def test_mistakes_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        scenes(*drawings(), **{"size": 40, "count": 2, **settings})


def test_black_images_hold_nothing():
    with pytest.raises(ValueError, match="found black images alone"):
        scenes(np.zeros((3, 8, 8, 1), np.uint8), np.zeros(3, np.int64), size=20, count=1)
