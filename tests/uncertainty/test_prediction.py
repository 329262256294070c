"""Mean and uncertainties of samples: bounds, identities, and the plain formulas."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bitwright.uncertainty import prediction, softmax, summarize

FINITE = st.floats(-60, 60, width=32)
SHAPES = st.tuples(st.integers(1, 6), st.integers(1, 4), st.integers(1, 5))


@given(SHAPES.flatmap(lambda shape: arrays(np.float32, shape, elements=FINITE)))
def test_bounds_and_identities(logits):
    found = summarize(logits)
    samples, _, classes = logits.shape
    np.testing.assert_allclose(found.mean.sum(1), 1, rtol=1e-12)
    assert (found.mutual_information >= 0).all()
    assert (found.mutual_information <= np.log(min(samples, classes)) + 1e-9).all()
    assert (found.entropy <= np.log(classes) + 1e-9).all()
    assert (found.entropy >= found.expected_entropy - 1e-9).all()
    np.testing.assert_allclose(found.entropy, found.expected_entropy + found.mutual_information, atol=1e-9)


@given(arrays(np.float32, (3, 2, 4), elements=st.floats(-5, 5, width=32)))
def test_they_are_the_plain_formulas(logits):
    p = np.exp(logits.astype(np.float64))
    p /= p.sum(2, keepdims=True)
    mean = p.mean(0)
    found = summarize(logits)
    np.testing.assert_allclose(found.mean, mean, rtol=1e-12)
    np.testing.assert_allclose(found.entropy, -(mean * np.log(mean)).sum(1), rtol=1e-10)
    np.testing.assert_allclose(found.expected_entropy, -(p * np.log(p)).sum(2).mean(0), rtol=1e-10)
    assert np.array_equal(found.labels, mean.argmax(1)) and np.array_equal(found.confidence, found.mean.max(1))


@given(arrays(np.float32, (2, 5), elements=FINITE), st.integers(1, 9))
def test_equal_samples_disagree_by_nothing_at_all(logits, samples):
    together, alone = summarize(np.repeat(logits[None], samples, 0)), summarize(logits)
    assert np.array_equal(together.mean, softmax(logits))
    for name in ("mean", "entropy", "expected_entropy"):
        assert np.array_equal(getattr(together, name), getattr(alone, name))
    assert (together.mutual_information == 0).all()


def test_certain_samples_that_contradict_each_other():
    logits = np.array([[[900.0, 0.0]], [[0.0, 900.0]]], np.float32)
    found = summarize(logits)
    assert found.mean.tolist() == [[0.5, 0.5]]
    np.testing.assert_allclose(found.mutual_information, np.log(2))
    assert found.expected_entropy.tolist() == [0]


def test_many_images_are_summarized_in_parts(monkeypatch):
    logits = np.random.default_rng(0).standard_normal((3, 11, 4)).astype(np.float32)
    whole = summarize(logits)
    for room in (1, 40):
        monkeypatch.setattr(prediction, "_ROOM", room)
        assert all(np.array_equal(value, getattr(whole, name)) for name, value in vars(summarize(logits)).items())


@pytest.mark.parametrize("shape", [(4,), (0, 2, 3), (2, 3, 0), (1, 2, 3, 4)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="expected the shape"):
        summarize(np.zeros(shape, np.float32))
