"""The cells of feature maps: where they lie in the image, and which outputs of a detector belong together."""

from collections.abc import Iterable

import numpy as np

CLASSES, BOXES = "classes", "boxes"
FARTHEST = 8.0  # of a distance, as a logarithm: e**8 strides are more than any image has


def cell_grid(sides: Iterable[tuple[int, int]], size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Centres of all cells of some maps, row by row and map after map, and how far apart those of one map are.

    The cell in row i and column j of a map of stride s has its centre at x = (j + 1/2) s, y = (i + 1/2) s.

    Shape:
        results: (A, 2) float32, x and y in pixels, and (A,) float32.

    Args:
        sides: Height and width of each map.
        size: Height and width of the image.

    Raises:
        ValueError: If a map divides the image into no squares.
    """
    centres, strides = [], []
    for height, width in sides:
        stride = size[0] // height
        if (height * stride, width * stride) != tuple(size):
            raise ValueError(
                f"a map of {height}x{width} cells does not divide an image of {size[0]}x{size[1]} pixels into squares"
            )
        rows, columns = np.mgrid[:height, :width]
        centres.append((np.stack([columns, rows], -1).reshape(-1, 2) + 0.5) * stride)
        strides.append(np.full(height * width, stride))
    return np.concatenate(centres).astype(np.float32), np.concatenate(strides).astype(np.float32)


def level_names(outputs: Iterable[str]) -> list[tuple[str, str]]:
    """Which outputs belong together: those of the classes, and those of the boxes of the same cells.

    Args:
        outputs: All names: "classes0", "boxes0", "classes1", "boxes1", ...

    Raises:
        ValueError: If they are not a detector's.
    """
    names = list(outputs)
    levels = [(name, BOXES + name.removeprefix(CLASSES)) for name in names if name.startswith(CLASSES)]
    if not levels or sorted(name for level in levels for name in level) != sorted(names):
        raise ValueError(f"outputs: expected a detector's, classes0, boxes0, classes1, boxes1, ..., found {names}")
    return levels
