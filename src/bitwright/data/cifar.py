"""CIFAR-10 and CIFAR-100 in their "python version": pickles, read by an unpickler that knows arrays and nothing else.

Reference: Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
"""

import codecs
import pickle
from pathlib import Path

import numpy as np

from bitwright.data.splits import Part, check_part
from bitwright.errors import DataError

PAGE = "the CIFAR page of A. Krizhevsky, www.cs.toronto.edu/~kriz/cifar.html"


def _encode(text: str, encoding: str) -> bytes:
    # How Python 3 spells bytes in old pickles; other codecs, such as decompressors, have no business here.
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"the codec {encoding!r} is not allowed here")
    return codecs.encode(text, "latin-1")


# What a pickled array needs. `__reduce__` of an empty array names NumPy's own reconstruction, wherever it lives now.
_RECONSTRUCT = np.empty(0).__reduce__()[0]
_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _encode,
}


class _ArrayUnpickler(pickle.Unpickler):
    """Lists, dicts, strings, numbers and arrays; anything that could run code is refused."""

    def find_class(self, module: str, name: str) -> object:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is not a NumPy array") from None


def _read_pickle(path: Path, needed: tuple[str, ...]) -> dict:
    try:
        with path.open("rb") as file:
            content = _ArrayUnpickler(file, encoding="latin1").load()
    except OSError:
        raise
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise DataError(f"{path}: not a CIFAR batch: {error}. Get a fresh copy from {PAGE}.") from error
    if isinstance(content, dict):  # copies made by Python 3 may have kept the keys as bytes
        content = {key.decode() if isinstance(key, bytes) else key: value for key, value in content.items()}
    missing = [key for key in needed if not isinstance(content, dict) or key not in content]
    if missing:
        raise DataError(f"{path}: not a CIFAR batch: it has no {missing[0]!r}. Get a fresh copy from {PAGE}.")
    return content


def _read_batches(paths: list[Path], label_key: str, names: tuple[str, ...]) -> Part:
    images, labels = [], []
    for path in paths:
        batch = _read_pickle(path, ("data", label_key))
        data = np.asarray(batch["data"])
        if data.ndim != 2 or data.shape[1] != 3 * 32 * 32:
            raise DataError(f"{path}: expected rows of 3072 pixels, found an array of shape {data.shape}.")
        images.append(data.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
        labels.append(np.asarray(batch[label_key]))
    return check_part(np.concatenate(images), np.concatenate(labels), names, str(paths[0].parent))


def _find(folder: Path, inside: str, files: list[str]) -> Path:
    home = folder if folder.name == inside else folder / inside
    for name in files:
        if not (home / name).is_file():
            raise DataError(f"{home / name} not found: unpack the python version from {PAGE} into {home.parent}.")
    return home


def read_cifar10(folder: Path, split: str) -> Part:
    """Read `folder/cifar-10-batches-py`: 50,000 training or 10,000 test images of 32x32.

    Args:
        folder: The folder that holds `cifar-10-batches-py`, or that folder itself.
        split: "train" or "test".

    Raises:
        DataError: If a file is missing or is no CIFAR batch.
    """
    files = [f"data_batch_{i}" for i in range(1, 6)] if split == "train" else ["test_batch"]
    home = _find(folder, "cifar-10-batches-py", [*files, "batches.meta"])
    names = tuple(_read_pickle(home / "batches.meta", ("label_names",))["label_names"])
    return _read_batches([home / file for file in files], "labels", names)


def read_cifar100(folder: Path, split: str) -> Part:
    """Read `folder/cifar-100-python` with the hundred fine labels: 50,000 training or 10,000 test images of 32x32.

    Args:
        folder: The folder that holds `cifar-100-python`, or that folder itself.
        split: "train" or "test".

    Raises:
        DataError: If a file is missing or is no CIFAR batch.
    """
    home = _find(folder, "cifar-100-python", [split, "meta"])
    names = tuple(_read_pickle(home / "meta", ("fine_label_names",))["fine_label_names"])
    return _read_batches([home / split], "fine_labels", names)
