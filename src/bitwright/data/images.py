"""A folder of image files, one folder a class, with or without train and test folders above the classes."""

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from bitwright.data.splits import Part, check_part, split_indices
from bitwright.errors import DataError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif", ".tiff")
_GREY = ("1", "L", "LA", "I;16", "I")


def read_image(path: Path, channels: int, size: int | None = None) -> np.ndarray:
    """Read one image file as pixels; with `size`, its shorter side is resized to it and the centre cut out.

    Shape:
        output: (H, W, channels) uint8; H = W = size where size is given.

    Args:
        path: Any image file that Pillow reads.
        channels: 1 for grey, 3 for red, green, blue.
        size: Side of the square, in pixels; None keeps the image as it is.

    Raises:
        DataError: If the file is no image.
    """
    try:
        with Image.open(path) as image:
            image = image.convert("L" if channels == 1 else "RGB")
            if size is not None and image.size != (size, size):
                image = _crop_centre(image, size)
            return np.asarray(image, dtype=np.uint8).reshape(image.height, image.width, channels)
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError) as error:
        raise DataError(f"{path}: cannot be read as an image: {error}.") from error


def fit_images(images: np.ndarray, height: int, width: int, channels: int) -> np.ndarray:
    """Images of any data set in the size and colours that a network takes; what sticks out is cut off at both sides.

    Shape:
        images: (N, H, W, C) uint8, C = 1 or 3; output: (N, height, width, channels) uint8.

    Args:
        images: Pixels.
        height: Of the result.
        width: Of the result.
        channels: 1 for grey, 3 for red, green, blue.
    """
    if images.shape[1:] == (height, width, channels):
        return images
    return np.stack([_fit(Image.fromarray(pixels.squeeze()), height, width, channels) for pixels in images])


def _fit(image: Image.Image, height: int, width: int, channels: int) -> np.ndarray:
    side = max(height, width)
    square = _crop_centre(image.convert("L" if channels == 1 else "RGB"), side)
    pixels = np.asarray(square, dtype=np.uint8).reshape(side, side, channels)
    top, left = (side - height) // 2, (side - width) // 2
    return pixels[top : top + height, left : left + width]


def _crop_centre(image: Image.Image, size: int) -> Image.Image:
    ratio = size / min(image.size)
    width, height = (max(size, round(side * ratio)) for side in image.size)
    left, top = (width - size) // 2, (height - size) // 2
    resized = image.resize((width, height), Image.Resampling.BILINEAR)
    return resized.crop((left, top, left + size, top + size))


def _list_classes(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")))


def _list_files(folder: Path, names: tuple[str, ...]) -> list[tuple[Path, int]]:
    return [
        (path, label)
        for label, name in enumerate(names)
        for path in sorted((folder / name).rglob("*"))
        if path.suffix.lower() in SUFFIXES and path.is_file()
    ]


def _choose_files(folder: Path, split: str) -> tuple[list[tuple[Path, int]], tuple[str, ...], Path]:
    """Files of one split with their labels, the class names, and the first training image, which sets the format."""
    if not folder.is_dir():
        raise DataError(f"{folder} not found: expected a folder that holds one folder of image files for each class.")
    train = folder / "train"
    held_out = next((folder / name for name in ("test", "val") if (folder / name).is_dir()), None)
    divided = train.is_dir() and held_out is not None
    names = _list_classes(train if divided else folder)
    everything = _list_files(train if divided else folder, names)
    if len(everything) < 2:
        raise DataError(f"{folder}: found {len(everything)} image files; expected CLASS/*.png (or .jpg, ...) below it.")
    if divided and held_out is not None:
        if _list_classes(held_out) != names:
            raise DataError(f"{held_out}: its class folders differ from those of {train}; both need the same names.")
        files = everything if split == "train" else _list_files(held_out, names)
        if not files:
            raise DataError(f"{held_out}: no image files; expected CLASS/*.png (or .jpg, ...) below it.")
    else:
        files = [everything[i] for i in split_indices(len(everything))[split == "test"]]
    return files, names, everything[0][0]


def read_images(folder: Path, split: str, size: int | None = None) -> Part:
    """Read one split of a folder of images.

    `folder` holds `train` and `test` (or `val`) folders of class folders, or class folders alone, of which a seeded
    fifth of the files is held out. The first training image decides between grey and colour.

    Args:
        folder: The folder.
        split: "train" or "test".
        size: Side in pixels that every image is resized and cropped to; None demands images of one size.

    Raises:
        DataError: If there are no images, one cannot be read, or sizes differ and `size` is None.
    """
    files, names, first = _choose_files(folder, split)
    try:
        with Image.open(first) as image:
            channels = 1 if image.mode in _GREY else 3
    except (UnidentifiedImageError, OSError) as error:
        raise DataError(f"{first}: cannot be read as an image: {error}.") from error
    images = []
    for path, _ in files:
        pixels = read_image(path, channels, size)
        if images and pixels.shape != images[0].shape:
            sides = f"{pixels.shape[1]}x{pixels.shape[0]} pixels, {images[0].shape[1]}x{images[0].shape[0]} before it"
            raise DataError(f"{path}: {sides}; images must have one size: give one (data.size = 32 in the recipe).")
        images.append(pixels)
    return check_part(np.stack(images), np.array([label for _, label in files]), names, str(folder))
