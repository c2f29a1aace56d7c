"""Ties: a further code in row order, the nearest free last code, Sinkhorn's even one; what is taken stays taken."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.tokenizers.ties import settle, sinkhorn, spread, with_extra_code, with_nearest_free

NOTHING = np.empty((0, 3), dtype=np.int32)


def table(*rows: tuple[int, ...]) -> np.ndarray:
    return np.array(rows, dtype=np.int32)


def test_a_further_code_counts_the_items_of_a_tuple_in_row_order():
    codes = table((5, 1), (2, 2), (5, 1), (5, 1), (0, 0))
    assert with_extra_code(codes, NOTHING)[:, -1].tolist() == [0, 0, 1, 2, 0]


def test_a_further_code_goes_on_after_what_is_taken():
    taken = table((5, 1, 0), (5, 1, 3), (9, 9, 0))  # 1 and 2 have been given and are gone
    found = with_extra_code(table((5, 1), (2, 2), (5, 1)), taken)
    assert found.tolist() == [[5, 1, 4], [2, 2, 0], [5, 1, 5]]


def test_the_first_keeps_its_codes_and_the_others_get_the_nearest_free_ones():
    codes = table((1, 0), (1, 0), (1, 2), (1, 0))
    distance = np.array([[0.0, 9, 9, 9], [0, 2, 1, 3], [9, 9, 0, 9], [0, 1, 2, 3.0]])
    assert with_nearest_free(codes, NOTHING[:, :2], distance).tolist() == [[1, 0], [1, 3 - 2], [1, 2], [1, 3]]


def test_where_all_last_codes_are_taken_the_level_grows():
    codes, distance = table((1, 0), (1, 0), (1, 0)), np.array([[0.0, 1]] * 3)
    assert with_nearest_free(codes, NOTHING[:, :2], distance)[:, 1].tolist() == [0, 1, 2]


def test_beside_taken_codes_nothing_is_spread():
    codes, distance = table((0, 0), (0, 1)), np.array([[0.0, 5, 1], [5, 0.0, 1]])
    assert settle(codes, table((0, 0)), "sinkhorn", distance).tolist() == [[0, 2], [0, 1]]


def test_sinkhorn_uses_all_codes_evenly_where_nearest_uses_one():
    generator = np.random.default_rng(0)
    distance = np.abs(generator.standard_normal((12, 4))) + np.array([0, 3, 3, 3])  # all are nearest to code 0
    assert set(distance.argmin(axis=1)) == {0}
    plan = sinkhorn(distance, epsilon=0.1, iterations=500)
    assert set(plan.argmax(axis=1)) == {0, 1, 2, 3}
    np.testing.assert_allclose(plan.sum(axis=0), 1 / 4, rtol=0.05)
    np.testing.assert_allclose(plan.sum(axis=1), 1 / 12, rtol=1e-6)
    assert set(sinkhorn(distance).argmax(axis=1)) == {0, 1, 2, 3}


def test_sinkhorn_equals_a_loop_that_scales_rows_and_columns():
    distance = np.random.default_rng(1).random((5, 3))
    high, low = distance.max(), distance.min()
    middle = (high + low) / 2
    q = np.exp(-(distance - middle) / (high - middle + 1e-5) / 0.1)
    q /= q.sum()
    for _ in range(200):
        q = q / q.sum(axis=1, keepdims=True) / 5
        q = q / q.sum(axis=0, keepdims=True) / 3
    np.testing.assert_allclose(sinkhorn(distance, 0.1, 200), q, atol=1e-6)


def test_spread_moves_only_rows_that_tie():
    codes = table((1, 0), (1, 0), (2, 0), (1, 1))
    distance = np.random.default_rng(2).random((4, 6))
    found = spread(codes, distance)
    assert found[2:].tolist() == codes[2:].tolist()
    assert found[0].tolist() != found[1].tolist()


rows = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), min_size=1, max_size=40)


@pytest.mark.parametrize("ties", ["extra", "nearest", "sinkhorn"])
@settings(max_examples=40, deadline=None)
@given(rows, st.integers(1, 39))
def test_codes_are_distinct_now_and_later(ties, found, cut):
    codes = np.array(found, dtype=np.int32)
    distance = np.random.default_rng(len(found)).random((len(codes), 4))
    old = settle(codes[:cut], NOTHING[:, : 3 if ties == "extra" else 2], ties, distance[:cut])
    new = settle(codes[cut:], old, ties, distance[cut:])
    both = [*map(tuple, old.tolist()), *map(tuple, new.tolist())]
    assert len(set(both)) == len(found)
    assert [row[0] for row in both] == [row[0] for row in found]
