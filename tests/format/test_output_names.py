"""The names and shapes of several outputs in a file's metadata."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitwright.errors import FormatError
from bitwright.format.outputs import KEY, read_outputs, take_apart, to_text

names = st.text(st.characters(exclude_characters="\n"), min_size=1, max_size=8)
shapes = st.dictionaries(names, st.lists(st.integers(0, 5), min_size=1, max_size=3).map(tuple), min_size=1, max_size=5)


@given(shapes)
def test_text_and_back(shapes):
    total = sum(int(np.prod(shape)) for shape in shapes.values())
    assert read_outputs({KEY: to_text(shapes)}, (total,)) == shapes
    y = np.arange(2 * total, dtype=np.float32).reshape(2, total)
    parts = take_apart(y, shapes)
    parts = list(parts.values()) if isinstance(parts, dict) else parts
    assert [part.shape for part in parts] == [(2, *shape) for shape in shapes.values()]
    np.testing.assert_array_equal(np.concatenate([part.reshape(2, -1) for part in parts], 1), y)


def test_a_file_without_them_has_one_output():
    y = np.zeros((2, 3, 4), np.float32)
    assert read_outputs({}, (3, 4)) == {} and take_apart(y, {}) is y


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a new name and a shape, as 'p3 64x8x8', found ''"),
        ("p3", "found 'p3'"),
        (" 12", "found ' 12'"),
        ("p3 6x-2", "found 'p3 6x-2'"),
        ("p3 6x²", "found 'p3 6x²'"),
        ("p3 1x1x1x1x12", "found 'p3 1x1x1x1x12'"),
        ("p3 6\np3 6", "found 'p3 6'"),
        ("p3 5x2\np4 3", "expected the shapes of (12,) numbers, found those of 13"),
        ("p3 9999999999", "found 'p3 9999999999'"),
    ],
)
def test_metadata_that_do_not_fit_are_refused(text, message):
    with pytest.raises(FormatError, match=re.escape(message)):
        read_outputs({KEY: text}, (12,))
