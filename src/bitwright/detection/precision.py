"""Average precision: how good a detector is, by the boxes that it found and those that are there. NumPy alone."""

from collections.abc import Sequence

import numpy as np

from bitwright.detection.boxes import Detections, box_overlaps

COCO = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
"""The overlaps 0.5, 0.55, ... 0.95, over which the COCO benchmark takes the mean."""


def average_precision(
    found: Sequence[Detections], boxes: np.ndarray, labels: np.ndarray, overlap: float = 0.5
) -> dict[int, float]:
    """The area below precision over recall, for each class that is there.

    The boxes found of a class, of all images, are gone through from the surest one on. One is right if a box of its
    image and class that no surer one has taken overlaps it by at least `overlap`; it takes the one it overlaps most.
    With recall r_k and precision p_k after k boxes, AP = sum over k of (r_k - r_(k-1)) * max over j >= k of p_j.

    Shape:
        boxes (N, B, 4), labels (N, B), -1 where there is no box.

    Args:
        found: Of each image.
        boxes: Those that are there, in pixels.
        labels: Their classes.
        overlap: Intersection over union.

    Returns:
        AP by class.

    Raises:
        ValueError: If the images are not as many.

    Reference: Everingham et al., "The PASCAL Visual Object Classes Challenge", IJCV 2010, with the area under all
    points as from 2010 on; Lin et al., "Microsoft COCO", ECCV 2014, for the choice of the box that is taken.
    """
    if not len(found) == len(boxes) == len(labels):
        raise ValueError(
            f"expected as many images, found {len(found)} with boxes found and {len(boxes)} with those there"
        )
    return {
        int(label): _area(*_judge(found, boxes, labels, int(label), overlap), int((labels == label).sum()))
        for label in np.unique(labels[labels >= 0])
    }


def mean_precision(
    found: Sequence[Detections], boxes: np.ndarray, labels: np.ndarray, overlaps: Sequence[float] = (0.5,)
) -> float:
    """The mean of `average_precision` over classes and overlaps; not a number where no box is there.

    Shape:
        as there.

    Args:
        found: Of each image.
        boxes: Those that are there.
        labels: Their classes.
        overlaps: At which; `precision.COCO` for the mean that COCO takes.
    """
    areas = [area for overlap in overlaps for area in average_precision(found, boxes, labels, overlap).values()]
    return float(np.mean(areas)) if areas else float("nan")


def _judge(
    found: Sequence[Detections], boxes: np.ndarray, labels: np.ndarray, label: int, overlap: float
) -> tuple[np.ndarray, np.ndarray]:
    """Score of each box found of a class, and whether it is right."""
    scores, right = [np.empty(0)], [np.empty(0, bool)]
    for here, there, whose in zip(found, boxes, labels, strict=True):
        mine = here.classes == label
        overlaps = box_overlaps(here.boxes[mine], there[whose == label])
        order = np.argsort(-here.scores[mine], kind="stable")
        scores.append(here.scores[mine][order])
        right.append(_match(overlaps[order], overlap))
    return np.concatenate(scores), np.concatenate(right)


def _match(overlaps: np.ndarray, least: float) -> np.ndarray:
    """Which rows, in order, get a column that none before has taken. Shape: overlaps (n, m); result (n,)."""
    overlaps = overlaps.copy()
    right = np.zeros(len(overlaps), bool)
    for row in range(len(overlaps) if overlaps.shape[1] else 0):
        best = int(overlaps[row].argmax())
        if overlaps[row, best] >= least:
            right[row] = True
            overlaps[:, best] = -1
    return right


def _area(scores: np.ndarray, right: np.ndarray, there: int) -> float:
    hits = right[np.argsort(-scores, kind="stable")]
    precision = hits.cumsum() / np.arange(1, len(hits) + 1)
    best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
    return float(best_from_here[hits].sum() / there)
