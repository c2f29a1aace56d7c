"""Codes as tokens: every level has tokens of its own, and a shorter tuple ends with one more code."""

import numpy as np

from features.codes import ItemCodes
from recommenders.generative.code_tokens import CodeTokens

ITEMS = ItemCodes(np.array([[0, 1, 1], [0, -1, -1], [1, 0, -1], [1, 0, 0]], dtype=np.int32), (2, 2, 2), "made")


def test_no_tuple_begins_another():
    tokens = CodeTokens.of(ITEMS, separator=False)
    assert tokens.sizes == (2, 3, 3)
    assert tokens.codes.tolist() == [[0, 1, 1], [0, 2, -1], [1, 0, 2], [1, 0, 0]]
    assert tokens.token.tolist() == [[2, 5, 8], [2, 6, 0], [3, 4, 9], [3, 4, 7], [0, 0, 0]]


def test_codes_of_one_length_stay_as_they_are():
    whole = ItemCodes(ITEMS.codes[[0, 3]], ITEMS.sizes, "made")
    tokens = CodeTokens.of(whole, separator=False)
    assert tokens.sizes == (2, 2, 2)
    assert tokens.codes.tolist() == whole.codes.tolist()


def test_a_history_has_no_gaps_and_ends_on_the_right():
    tokens = CodeTokens.of(ITEMS, separator=False)
    found = tokens.history(np.array([[4, 1, 0], [4, 4, 1]]), whole=False)
    assert found[..., 0].tolist() == [[2, 6, 2, 5, 8], [0, 0, 0, 2, 6]]
    marked = CodeTokens.of(ITEMS, separator=True).history(np.array([[4, 1, 0]]), whole=False)
    assert marked[..., 0].tolist() == [[2, 6, 1, 2, 5, 8, 1]]


def test_whole_items_keep_their_codes_together():
    found = CodeTokens.of(ITEMS, separator=False).history(np.array([[4, 1, 0]]), whole=True)
    assert found.tolist() == [[[0, 0, 0], [2, 6, 0], [2, 5, 8]]]
