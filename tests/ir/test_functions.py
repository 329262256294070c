"""Sigmoid and tanh against their true values, over the whole range of float32."""

import numpy as np
import pytest

from bitwright.ir.functions import sigmoid, tanh

TRUE = {sigmoid: lambda x: 1 / (1 + np.exp(-x)), tanh: np.tanh}


@pytest.fixture(scope="module")
def numbers() -> np.ndarray:
    """Every 997th finite float32, of either sign."""
    positive = np.arange(0, 0x7F800000, 997, dtype=np.int32).view(np.float32)
    return np.concatenate([positive, -positive])


@pytest.mark.parametrize("function", TRUE)
def test_results_are_near_the_true_ones(function, numbers):
    with np.errstate(over="ignore"):
        expected = TRUE[function](numbers.astype(np.float64))
        found = function(numbers)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=1.5e-7)
    usual = np.abs(numbers) < 80
    ulp = np.spacing(np.abs(expected[usual]).astype(np.float32)).astype(np.float64)
    assert (np.abs(found[usual] - expected[usual]) / ulp).max() < 2.5


def test_results_stay_within_their_bounds(numbers):
    with np.errstate(over="ignore"):
        assert (sigmoid(numbers) >= 0).all()
        assert (sigmoid(numbers) <= 1).all()
        assert (np.abs(tanh(numbers)) <= 1).all()


def test_tanh_is_odd_and_sigmoid_is_half_at_zero(numbers):
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(tanh(-numbers), -tanh(numbers))
    zeros = np.array([0.0, -0.0], np.float32)
    assert sigmoid(zeros).tolist() == [0.5, 0.5]
    assert tanh(zeros).tolist() == [0.0, 0.0]


def test_infinities_and_nan():
    x = np.array([np.inf, -np.inf, np.nan], np.float32)
    assert tanh(x)[:2].tolist() == [1.0, -1.0]
    assert sigmoid(x)[0] == 1.0
    assert 0 < sigmoid(x)[1] < 1e-37
    assert np.isfinite(sigmoid(x)).all()
