"""Average precision on cases counted by hand."""

import numpy as np
import pytest

from bitwright.detection import Detections, average_precision, mean_precision
from bitwright.detection.precision import COCO

A, B, FAR = [0, 0, 10, 10], [20, 0, 30, 10], [50, 50, 60, 60]


def found(*rows):
    """Detections of one image, from (box, score, class)."""
    boxes, scores, classes = zip(*rows, strict=True) if rows else ([], [], [])
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32), np.array(classes, np.int64)
    )


def there(*images):
    """Boxes and labels of images, from (box, class), padded."""
    most = max(map(len, images))
    boxes, labels = np.zeros((len(images), most, 4), np.float32), np.full((len(images), most), -1)
    for i, image in enumerate(images):
        for j, (box, label) in enumerate(image):
            boxes[i, j], labels[i, j] = box, label
    return boxes, labels


@pytest.mark.parametrize(
    ("detections", "area"),
    [
        ([(A, 0.9, 0), (B, 0.8, 0)], 1.0),
        ([(A, 0.9, 0)], 0.5),  # one of two was not found
        ([], 0.0),
        ([(FAR, 0.9, 0), (A, 0.8, 0), (B, 0.7, 0)], 2 / 3),  # precision 0, 1/2, 2/3: the envelope is 2/3 throughout
        ([(A, 0.9, 0), (FAR, 0.8, 0), (B, 0.7, 0)], 0.5 * 1 + 0.5 * 2 / 3),
        ([(A, 0.9, 0), (A, 0.8, 0), (B, 0.7, 0)], 0.5 * 1 + 0.5 * 2 / 3),  # the second of A is wrong
        ([(A, 0.9, 1), (B, 0.8, 1)], 0.0),  # of another class, which is not there
    ],
)
def test_the_area_is_the_one_counted_by_hand(detections, area):
    assert average_precision([found(*detections)], *there([(A, 0), (B, 0)])) == {0: pytest.approx(area)}


def test_scores_are_compared_over_all_images():
    truth = there([(A, 0)], [(A, 0)])
    right_first = [found((A, 0.9, 0)), found((FAR, 0.8, 0), (A, 0.7, 0))]
    assert average_precision(right_first, *truth)[0] == pytest.approx(0.5 + 0.5 * 2 / 3)
    wrong_first = [found((A, 0.7, 0)), found((FAR, 0.8, 0), (A, 0.6, 0))]
    assert average_precision(wrong_first, *truth)[0] == pytest.approx(2 / 3)


def test_a_box_is_found_in_its_own_image_only():
    assert average_precision([found((A, 0.9, 0)), found()], *there([(B, 0)], [(A, 0)]))[0] == 0


def test_a_box_takes_the_one_that_it_overlaps_most():
    low, high = [0, 0, 10, 10], [0, 2, 10, 12]
    detections = found(([0, 2, 10, 12], 0.9, 0), ([0, 0, 10, 10], 0.8, 0))
    assert average_precision([detections], *there([(low, 0), (high, 0)]))[0] == 1


def test_the_mean_is_over_classes_that_are_there_and_over_overlaps():
    truth = there([(A, 0), (B, 3)])
    assert mean_precision([found((A, 0.9, 0))], *truth) == pytest.approx(0.5)
    near = found(([0, 0, 10, 7.2], 0.9, 0), (B, 0.9, 3))  # overlaps A by 0.72, so 5 of COCO's 10 thresholds hold
    assert mean_precision([near], *truth, COCO) == pytest.approx((0.5 + 1) / 2)
    assert COCO[0] == 0.5 and COCO[-1] == 0.95 and len(COCO) == 10
    assert np.isnan(mean_precision([found((A, 0.9, 0))], *there([(A, -1)])))


def test_as_many_images_are_asked_for():
    with pytest.raises(ValueError, match="found 1 with boxes found and 2"):
        average_precision([found()], *there([(A, 0)], [(A, 0)]))
