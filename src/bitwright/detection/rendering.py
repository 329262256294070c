"""Rendered scenes: labelled images, made larger or smaller, at random places of a cluttered background."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

ATTEMPTS = 20  # to find an object a place
CROWDING = 0.1  # share of the smaller of two boxes that the other one may cover
DARK = 32  # of 255: strokes are brighter


@dataclass(frozen=True, eq=False)
class Scenes:
    """Images and what is in them.

    Shape:
        images: (N, H, W, C) uint8; boxes: (N, B, 4) float32, x0, y0, x1, y1 in pixels; labels: (N, B) int64, -1 where
        an image has fewer than B boxes.
    """

    images: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray


def scenes(
    images: np.ndarray,
    labels: np.ndarray,
    *,
    size: int,
    count: int,
    objects: tuple[int, int] = (1, 4),
    scale: tuple[float, float] = (0.5, 1.25),
    clutter: int = 8,
    seed: int = 0,
) -> Scenes:
    """Scenes made of the images of a data set.

    A grey image is taken for strokes on black: its box is the smallest one around them, and they are laid over the
    scene as light is, by the maximum. A coloured one is pasted as a whole. An object that finds no place where it and
    the others keep clear of each other is left out, so a scene may hold fewer than were drawn, but never none.

    Clutter is noise, and pieces of other images, a third of a side long.

    Shape:
        images (N, H, W, C) uint8, labels (N,) int64.

    Args:
        images: What objects and clutter are made of; training and test scenes need different ones.
        labels: Their classes.
        size: Side of a scene in pixels.
        count: How many scenes.
        objects: The fewest and the most objects of a scene.
        scale: The smallest and the largest factor of an object's size.
        clutter: Pieces of other images in a scene.
        seed: Of every random number.

    Raises:
        ValueError: If the largest object is larger than a scene, a number is out of range, or no image has strokes.
    """
    fewest, most = objects
    if not 1 <= fewest <= most:
        raise ValueError(f"objects: expected the fewest and the most, from 1 on, found {objects}")
    if not 0 < scale[0] <= scale[1]:
        raise ValueError(f"scale: expected the smallest and the largest factor, above 0, found {scale}")
    if max(images.shape[1:3]) * scale[1] > size:
        raise ValueError(
            f"size: images of {images.shape[1]}x{images.shape[2]} pixels, {scale[1]} times as large, do not fit into a "
            f"scene of {size}x{size}"
        )
    drawn = images.shape[3] == 1
    usable = np.flatnonzero((images >= DARK).any((1, 2, 3))) if drawn else np.arange(len(images))
    if count and not len(usable):
        raise ValueError("images: expected strokes on black, found black images alone")
    random = np.random.default_rng(seed)
    made = np.empty((count, size, size, images.shape[3]), np.uint8)
    boxes, classes = np.zeros((count, most, 4), np.float32), np.full((count, most), -1, np.int64)
    for index in range(count):
        scene = _background(images, size, clutter, random)
        for place in range(random.integers(fewest, most + 1)):
            which = random.choice(usable)
            thing = _resize(_cut(images[which]) if drawn else images[which], random.uniform(*scale))
            if (box := _find_place(thing, size, boxes[index, :place], random)) is None:
                break
            _lay(scene, thing, box, drawn)
            boxes[index, place], classes[index, place] = box, labels[which]
        made[index] = scene
    return Scenes(made, boxes, classes)


def _background(images: np.ndarray, size: int, clutter: int, random: np.random.Generator) -> np.ndarray:
    scene = random.integers(0, random.integers(1, 96), (size, size, images.shape[3])).astype(np.uint8)
    height, width = (max(1, side // 3) for side in images.shape[1:3])
    for _ in range(clutter):
        image = images[random.integers(len(images))]
        top, left = (random.integers(0, n - part + 1) for n, part in zip(image.shape, (height, width), strict=False))
        piece = image[top : top + height, left : left + width]
        y, x = random.integers(0, size - height + 1), random.integers(0, size - width + 1)
        _lay(scene, piece, np.array([x, y, x + width, y + height]), image.shape[2] == 1)
    return scene


def _cut(image: np.ndarray) -> np.ndarray:
    """The part of a grey image that its strokes reach."""
    rows, columns = (np.flatnonzero((image[..., 0] >= DARK).any(axis)) for axis in (1, 0))
    return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _resize(image: np.ndarray, factor: float) -> np.ndarray:
    height, width = (max(1, round(side * factor)) for side in image.shape[:2])
    grey = image.shape[2] == 1
    picture = Image.fromarray(image[..., 0] if grey else image)
    pixels = np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR))
    return pixels[..., None] if grey else pixels


def _find_place(thing: np.ndarray, size: int, others: np.ndarray, random: np.random.Generator) -> np.ndarray | None:
    height, width = thing.shape[:2]
    for _ in range(ATTEMPTS):
        x, y = random.integers(0, size - width + 1), random.integers(0, size - height + 1)
        box = np.array([x, y, x + width, y + height])
        sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
        areas = (others[:, 2:] - others[:, :2]).prod(1)
        if (sides.clip(min=0).prod(1) <= CROWDING * np.minimum(areas, height * width)).all():
            return box
    return None


def _lay(scene: np.ndarray, thing: np.ndarray, box: np.ndarray, drawn: bool) -> None:
    x0, y0, x1, y1 = box
    place = scene[y0:y1, x0:x1]
    place[:] = np.maximum(place, thing) if drawn else thing
