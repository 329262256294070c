"""One `.npz` file of uint8 images and labels; never with pickles inside."""

import zipfile
from pathlib import Path

import numpy as np

from bitwright.data.splits import Part, check_part, split_indices
from bitwright.errors import DataError

_SPLIT_KEYS = {
    "train": (("train_images", "train_labels"), ("x_train", "y_train")),
    "test": (("test_images", "test_labels"), ("x_test", "y_test")),
}
_EXPECTED = "train_images, train_labels, test_images, test_labels (or x_train, ..., or images, labels to be split)"


def read_npz(path: Path, split: str) -> Part:
    """Read one split of an archive.

    The keys are `train_images`, `train_labels`, `test_images`, `test_labels`, or `x_train`, `y_train`, `x_test`,
    `y_test`, or `images`, `labels`, of which a seeded fifth is held out as the test split. `label_names` is optional.

    Args:
        path: The archive.
        split: "train" or "test".

    Raises:
        DataError: If the file is missing, is no archive of plain arrays, or holds other keys.
    """
    if not path.is_file():
        raise DataError(f"{path} not found: expected an .npz archive with {_EXPECTED}; numpy.savez writes one.")
    try:
        with np.load(path, allow_pickle=False) as archive:
            return _read_split(archive, split, path)
    except (ValueError, zipfile.BadZipFile, EOFError, AttributeError, TypeError) as error:
        raise DataError(f"{path}: not an .npz archive of plain arrays: {error}.") from error


def _read_split(archive: np.lib.npyio.NpzFile, split: str, path: Path) -> Part:
    names = tuple(str(name) for name in archive["label_names"]) if "label_names" in archive else ()
    for images, labels in _SPLIT_KEYS[split]:
        if images in archive and labels in archive:
            return check_part(archive[images], archive[labels], names, f"{path}[{images}]")
    if "images" in archive and "labels" in archive:
        part = check_part(archive["images"], archive["labels"], names, f"{path}[images]")
        if len(part.labels) < 2:
            raise DataError(f"{path}: one image cannot be split into train and test; at least 2 are needed.")
        chosen = split_indices(len(part.labels))[split == "test"]
        return Part(part.images[chosen], part.labels[chosen], names)
    found = ", ".join(archive.files) or "none"
    raise DataError(f"{path}: no {split} split: expected the keys {_EXPECTED}, found {found}.")
