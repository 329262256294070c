"""Boxes: how much two overlap, which of many to keep, and what a detector's outputs say. NumPy alone.

A box is x0, y0, x1, y1 in pixels; x runs to the right, y downwards, and the first pixel reaches from 0 to 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bitwright.detection.cells import FARTHEST, cell_grid, level_names


@dataclass(frozen=True, eq=False)
class Detections:
    """What was found in one image, the surest first.

    Shape:
        boxes: (n, 4) float32, in pixels; scores: (n,) float32, from 0 to 1; classes: (n,) int64.
    """

    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray


def box_overlaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of each box with each other one: |A and B| / |A or B|, 0 where both are empty.

    Shape:
        a (n, 4), b (m, 4); result (n, m) float64.

    Args:
        a: Boxes.
        b: Boxes.
    """
    a, b = a.astype(np.float64)[:, None], b.astype(np.float64)[None]
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    common = sides.clip(min=0).prod(-1)
    whole = _area(a) + _area(b) - common
    return np.divide(common, whole, out=np.zeros_like(common), where=whole > 0)


def _area(boxes: np.ndarray) -> np.ndarray:
    return (boxes[..., 2:] - boxes[..., :2]).clip(min=0).prod(-1)


def suppress(boxes: np.ndarray, scores: np.ndarray, classes: np.ndarray, overlap: float = 0.5) -> np.ndarray:
    """Non-maximum suppression, class by class: of boxes that overlap by more than so much the surest one stays.

    From the highest score downwards a box is kept unless a kept one of its class overlaps it. Of equal scores the first
    box counts as the surer one.

    Shape:
        boxes (n, 4), scores (n,), classes (n,); result (k,) int64, positions by falling score.

    Args:
        boxes: In pixels.
        scores: Theirs.
        classes: Theirs.
        overlap: Intersection over union.
    """
    order = np.argsort(-scores, kind="stable")
    rivals = (box_overlaps(boxes[order], boxes[order]) > overlap) & (classes[order, None] == classes[order])
    kept = np.ones(len(order), bool)
    for place in range(len(order)):
        if kept[place]:
            kept[place + 1 :] &= ~rivals[place, place + 1 :]
    return order[kept]


def decode_boxes(
    outputs: Mapping[str, np.ndarray],
    size: tuple[int, int],
    *,
    threshold: float = 0.05,
    overlap: float = 0.5,
    candidates: int = 400,
    most: int = 100,
) -> list[Detections]:
    """What a detector's outputs say of each image.

    A cell with its centre at (x, y), of a map of stride s, scores sigmoid(logit) for each class, and its outputs
    l, t, r, b stand for the box x - s e^l, y - s e^t, x + s e^r, y + s e^b, cut off at the borders of the image. The
    strides follow from the sizes of the maps.

    Shape:
        outputs: for each level (N, classes, H, W) and (N, 4, H, W).

    Args:
        outputs: What the network, or the engine, returns: "classes0", "boxes0", ...
        size: Height and width of the image.
        threshold: The lowest score that counts.
        overlap: Intersection over union from which on `suppress` takes the surer box alone.
        candidates: How many of the surest boxes of an image it looks at.
        most: How many boxes of an image it may leave.

    Raises:
        ValueError: If the outputs are not a detector's, or the maps do not divide the image.

    Example:
        >>> logits, distances = np.full((1, 2, 2, 2), -9.0), np.zeros((1, 4, 2, 2))
        >>> logits[0, 1, 0, 1] = 9
        >>> (found,) = decode_boxes({"classes0": logits, "boxes0": distances}, (8, 8))
        >>> found.boxes.tolist(), found.classes.tolist()
        ([[2.0, 0.0, 8.0, 6.0]], [1])
    """
    levels = level_names(outputs)
    centres, strides = cell_grid([outputs[classes].shape[2:] for classes, _ in levels], size)
    logits = np.concatenate([_rows(outputs[classes]) for classes, _ in levels], 1)  # (N, A, C)
    distances = np.concatenate([_rows(outputs[boxes]) for _, boxes in levels], 1)  # (N, A, 4)
    reach = np.exp(np.minimum(distances, FARTHEST)) * strides[:, None]
    corners = np.concatenate([centres - reach[..., :2], centres + reach[..., 2:]], -1)
    corners = corners.clip(0, np.array([size[1], size[0]] * 2)).astype(np.float32)
    scores = (1 / (1 + np.exp(-logits.clip(-50, 50)))).astype(np.float32)
    return [
        _choose(boxes, own, threshold, overlap, candidates, most) for boxes, own in zip(corners, scores, strict=True)
    ]


def _rows(maps: np.ndarray) -> np.ndarray:
    """(N, K, H, W) as (N, H W, K)."""
    return maps.reshape(*maps.shape[:2], -1).transpose(0, 2, 1)


def _choose(
    boxes: np.ndarray, scores: np.ndarray, threshold: float, overlap: float, candidates: int, most: int
) -> Detections:
    """Those of one image: boxes (A, 4), scores (A, C)."""
    cells, classes = np.nonzero(scores > threshold)
    sure = scores[cells, classes]
    first = np.argsort(-sure, kind="stable")[:candidates]
    cells, classes, sure = cells[first], classes[first], sure[first]
    kept = suppress(boxes[cells], sure, classes, overlap)[:most]
    return Detections(boxes[cells[kept]], sure[kept], classes[kept])
