"""`load_dataset("KIND:PATH")`: the one door to every data set, and what it returns."""

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from bitwright.data.archive import read_npz
from bitwright.data.cifar import read_cifar10, read_cifar100
from bitwright.data.images import read_images
from bitwright.data.mnist import read_mnist
from bitwright.data.splits import Part
from bitwright.errors import DataError

SPLITS = ("train", "test")
KINDS: dict[str, str] = {
    "cifar10": "cifar10:DIR, DIR holding cifar-10-batches-py",
    "cifar100": "cifar100:DIR, DIR holding cifar-100-python",
    "mnist": "mnist:DIR, DIR holding the idx files, plain or .gz, or MNIST/raw",
    "npz": "npz:FILE, an archive of uint8 images and labels",
    "images": "images:DIR, one folder of image files for each class",
}
_READERS: dict[str, Callable[[Path, str], Part]] = {
    "cifar10": read_cifar10,
    "cifar100": read_cifar100,
    "mnist": read_mnist,
    "npz": read_npz,
}


@dataclass(frozen=True, eq=False)
class DataSet:
    """Labelled images in memory, divided into training and test images. A split that was not asked for is empty.

    Shape:
        train_images, test_images: (N, H, W, C) uint8, C = 1 or 3; train_labels, test_labels: (N,) int64.
    """

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    label_names: tuple[str, ...]
    source: str

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of one image."""
        images = self.train_images if len(self.train_images) else self.test_images
        height, width, channels = images.shape[1:]
        return height, width, channels


def parse_source(source: str) -> tuple[str, Path]:
    """Take `KIND:PATH` apart.

    Args:
        source: Such as "cifar10:data" or "npz:digits.npz".

    Raises:
        DataError: If there is no colon, no path, or the kind is unknown.
    """
    kind, colon, path = source.partition(":")
    if kind not in KINDS:
        near = get_close_matches(kind, KINDS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise DataError(f"unknown kind of data set {kind!r} in {source!r}.{hint} Known: {'; '.join(KINDS.values())}.")
    if not colon or not path:
        raise DataError(f"the data set {source!r} names no path; expected {KINDS[kind]}.")
    return kind, Path(path).expanduser()


def load_dataset(source: str, split: str | None = None, *, size: int | None = None) -> DataSet:
    """Read a data set.

    Args:
        source: `KIND:PATH`; the kinds are cifar10, cifar100, mnist, npz and images.
        split: "train" or "test" to read that one only, which is quicker; None for both.
        size: For `images`: the side in pixels that every image is resized and centre-cropped to.

    Raises:
        DataError: If the data set is missing (the message says where to get it) or not laid out as its kind demands.
        ValueError: If the split is unknown.
    """
    if split is not None and split not in SPLITS:
        raise ValueError(f"split must be 'train', 'test' or None, found {split!r}")
    kind, path = parse_source(source)
    wanted = SPLITS if split is None else (split,)
    if kind == "images":
        parts = {name: read_images(path, name, size) for name in wanted}
    else:
        parts = {name: _READERS[kind](path, name) for name in wanted}
    return join_parts(parts, source)


def join_parts(parts: dict[str, Part], source: str) -> DataSet:
    """One `DataSet` from the parts that were read, after checking that they belong together.

    Args:
        parts: By split; at least one.
        source: What the data set is called.

    Raises:
        DataError: If the parts' images differ in shape.
    """
    some = next(iter(parts.values()))
    shapes = {part.images.shape[1:] for part in parts.values()}
    if len(shapes) > 1:
        raise DataError(f"{source}: training and test images differ in (height, width, channels): {sorted(shapes)}.")
    nothing = Part(np.empty((0, *some.images.shape[1:]), np.uint8), np.empty(0, np.int64))
    train, test = (parts.get(name, nothing) for name in SPLITS)
    count = 1 + max(int(part.labels.max()) for part in parts.values())
    names = some.names or tuple(str(i) for i in range(count))
    return DataSet(train.images, train.labels, test.images, test.labels, names, source)


def save_npz(data: DataSet, path: str | Path) -> None:
    """Write a data set as an archive that `npz:PATH` reads back.

    Args:
        data: Both splits.
        path: The file to write; its folder must exist.
    """
    np.savez_compressed(
        path,
        train_images=data.train_images,
        train_labels=data.train_labels,
        test_images=data.test_images,
        test_labels=data.test_labels,
        label_names=np.array(data.label_names),
    )
