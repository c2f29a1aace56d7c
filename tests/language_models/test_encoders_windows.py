"""Windows of long texts and their mean."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from language_models.encoders.windows import cut, mean_of_windows


def test_the_mean_by_hand():
    vectors = np.array([[1, 0], [0, 1], [0, 1], [0.6, 0.8]], np.float32)
    found = mean_of_windows(vectors, [0, 0, 1, 2], [3, 4, 5, 1], 3)
    assert found == pytest.approx(np.array([[0.6, 0.8], [0, 1], [0.6, 0.8]]))
    assert found.dtype == np.float32


def test_opposite_windows_give_no_infinite_vector():
    found = mean_of_windows(np.array([[1, 0], [-1, 0]], np.float32), [0, 0], [1, 1], 1)
    assert np.array_equal(found, [[0, 0]])


def test_cuts_are_between_words():
    assert cut("one two three  four\nfive", lambda piece: len(piece) <= 9) == ["one two", "three", "four\nfive"]


def test_a_word_that_is_too_long_is_cut():
    assert cut("abcdefgh ij", lambda piece: len(piece) <= 3) == ["abc", "def", "gh", "ij"]


def test_what_never_fits_ends_all_the_same():
    assert cut("abc", lambda piece: False) == ["a", "b", "c"]


@given(st.text(alphabet="ab \n", max_size=1200), st.integers(1, 300))
def test_pieces_fit_and_are_the_whole_text(text, most):
    pieces = cut(text, lambda piece: len(piece) <= most)
    assert all(0 < len(piece) <= most for piece in pieces)
    assert "".join("".join(pieces).split()) == "".join(text.split())


def test_a_long_text_is_not_counted_whole_for_each_of_its_windows():
    looked = []
    cut("word " * 20_000, lambda piece: looked.append(len(piece)) or len(piece) <= 100)
    assert max(looked) <= 512
