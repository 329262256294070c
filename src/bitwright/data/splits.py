"""What every reader returns: one `Part` of a data set at a time, and the seeded split of an undivided one."""

from dataclasses import dataclass

import numpy as np

from bitwright.errors import DataError

HELD_OUT = 0.2
MOST_CLASSES = 65536


@dataclass(frozen=True, eq=False)
class Part:
    """The images and labels of one split, with the names of the classes where the source knows them.

    Shape:
        images: (N, H, W, C) uint8, with C = 1 (grey) or 3 (red, green, blue); labels: (N,) int64.
    """

    images: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...] = ()


def check_part(images: np.ndarray, labels: np.ndarray, names: tuple[str, ...], where: str) -> Part:
    """Bring images and labels to the one layout, (N, H, W, C) uint8 and (N,) int64, or say what is wrong with them.

    Shape:
        images: (N, H, W), (N, H, W, C) or (N, C, H, W), C = 1 or 3; labels: (N,) or (N, 1).

    Args:
        images: Pixels from 0 to 255.
        labels: Class numbers, starting at 0.
        names: Names of the classes; may be empty.
        where: The file, for messages.

    Raises:
        DataError: If a shape, a type or a label does not fit.
    """
    if images.dtype != np.uint8:
        raise DataError(f"{where}: images must be uint8 pixels (0 to 255), found {images.dtype}; convert them first.")
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim == 4 and images.shape[3] not in (1, 3) and images.shape[1] in (1, 3):
        images = images.transpose(0, 2, 3, 1)
    if images.ndim != 4 or images.shape[3] not in (1, 3) or 0 in images.shape:
        raise DataError(f"{where}: expected images (N, H, W) or (N, H, W, C) with C = 1 or 3, found {images.shape}.")
    if not np.issubdtype(labels.dtype, np.integer):
        raise DataError(f"{where}: labels must be whole numbers, found {labels.dtype}.")
    labels = labels.reshape(-1).astype(np.int64)
    if len(labels) != len(images):
        raise DataError(f"{where}: {len(images)} images but {len(labels)} labels; each image needs one.")
    if labels.min() < 0 or labels.max() >= (len(names) or MOST_CLASSES):
        classes = f"{len(names)} class names" if names else f"at most {MOST_CLASSES} classes, counted from 0"
        raise DataError(f"{where}: labels run from {labels.min()} to {labels.max()}, which does not fit {classes}.")
    return Part(np.ascontiguousarray(images), labels, names)


def split_indices(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Train and test positions of an undivided set: a seeded shuffle, a fifth of it held out.

    Args:
        count: Number of images, at least 2.
        seed: Seed of the shuffle.
    """
    order = np.random.default_rng(seed).permutation(count)
    held_out = max(1, round(count * HELD_OUT))
    return np.sort(order[held_out:]), np.sort(order[:held_out])
