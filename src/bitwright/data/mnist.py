"""MNIST and its cousins (Fashion-MNIST, KMNIST) as idx files, plain or gzipped.

An idx file is big-endian: two zero bytes, the type (8: uint8), the number of axes, one uint32 for each axis, the data.

Reference: LeCun et al., "Gradient-Based Learning Applied to Document Recognition", Proceedings of the IEEE, 1998.
"""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from bitwright.data.splits import Part, check_part
from bitwright.errors import DataError

PAGE = "the MNIST page, yann.lecun.com/exdb/mnist, or torchvision.datasets.MNIST(DIR, download=True)"
_PREFIX = {"train": "train", "test": "t10k"}


def read_idx(path: Path) -> np.ndarray:
    """Read one idx file of uint8 values.

    Args:
        path: The file; gzipped if its name ends in `.gz`.

    Raises:
        DataError: If it is no idx file of bytes, or is truncated.
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: not a whole gzip file: {error}. Get a fresh copy from {PAGE}.") from error
    if len(content) < 4 or content[:3] != b"\0\0\x08" or len(content) < 4 + 4 * content[3]:
        raise DataError(
            f"{path}: not an idx file of bytes (it must begin with 00 00 08). Get a fresh copy from {PAGE}."
        )
    axes = content[3]
    shape = struct.unpack_from(f">{axes}I", content, 4)
    data = np.frombuffer(content, np.uint8, offset=4 + 4 * axes)
    if data.size != math.prod(shape):
        raise DataError(
            f"{path}: {data.size} bytes of data where its header says {shape}. Get a fresh copy from {PAGE}."
        )
    return data.reshape(shape).copy()  # what a file's bytes hold cannot be written to, which torch minds


def _find(folder: Path, name: str) -> Path:
    for home in (folder, folder / "MNIST" / "raw", folder / "raw"):
        for suffix in ("", ".gz"):
            if (home / (name + suffix)).is_file():
                return home / (name + suffix)
    raise DataError(f"{folder / name}[.gz] not found, nor below MNIST/raw: get the four idx files from {PAGE}.")


def read_mnist(folder: Path, split: str) -> Part:
    """Read `{train,t10k}-{images-idx3,labels-idx1}-ubyte[.gz]` from `folder`, `folder/MNIST/raw` or `folder/raw`.

    Args:
        folder: The folder that holds the files.
        split: "train" or "test".

    Raises:
        DataError: If a file is missing or damaged.
    """
    images = _find(folder, f"{_PREFIX[split]}-images-idx3-ubyte")
    labels = _find(folder, f"{_PREFIX[split]}-labels-idx1-ubyte")
    return check_part(read_idx(images), read_idx(labels), (), str(images))
