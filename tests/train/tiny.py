"""Small recipes and data sets for the tests of training."""

import numpy as np

from bitwright.data import DataSet
from bitwright.train import Recipe, parse_recipe

TINY = """
title = "tiny"
epochs = 4
batch = 16

[data]
source = "npz:unused.npz"

[network]
name = "vgg_small"
width = 4

[method]
name = "sbnn"
sparsity = 0.75
gamma = 0.2

[augmentation]
crop = 1
flip = true
mixup = 0.2

[machine]
threads = 1
"""


def tiny_recipe(*overrides: str) -> Recipe:
    return parse_recipe(TINY, overrides=overrides)


def tiny_data(train: int = 70, test: int = 20, size: int = 8, channels: int = 1) -> DataSet:
    """Bright squares in one of three places, on noise."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, train + test)
    labels[:3] = labels[train : train + 3] = [0, 1, 2]
    images = rng.integers(0, 100, (train + test, size, size, channels), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[:, 2 * label : 2 * label + 3] += 120
    names = ("left", "middle", "right")
    return DataSet(images[:train], labels[:train], images[train:], labels[train:], names, "bars")
