"""Several texts of one kind: side by side, averaged, as a user's mean, and shuffled."""

import numpy as np
import pytest

from features.corpus import Part
from features.table import (
    EdgeTable,
    FeatureTable,
    averaged,
    joined,
    mean_of_items,
    random_edges,
    randomised,
    shuffled,
    shuffled_edges,
)
from schemas.errors import DataError


def table(rows: list[list[float] | None], source: str, kind: str = "item") -> FeatureTable:
    width = len(next(row for row in rows if row is not None))
    x = np.array([row or [0] * width for row in rows], dtype=np.float32)
    return FeatureTable(kind, x, np.array([row is not None for row in rows]), source)


A = table([[1, 2], None, [3, 4], None], "a")
B = table([[5, 6, 7], [8, 9, 10], None, None], "b")
SAME = table([[3, 0], [8, 9], None, None], "same")


def train(edges: list[tuple[int, int]], users: int = 3, items: int = 4) -> Part:
    array = np.array(edges, dtype=np.int64).T
    return Part(users, items, array, np.arange(len(edges)), np.ones(len(edges), dtype=np.float32))


def test_joined_sources_stand_side_by_side_and_say_which_a_row_has():
    both = joined([A, B])
    assert both.x.tolist() == [[1, 2, 5, 6, 7], [0, 0, 8, 9, 10], [3, 4, 0, 0, 0], [0] * 5]
    assert both.has.tolist() == [[True, True], [False, True], [True, False], [False, False]]
    assert both.present.tolist() == [True, True, True, False]
    assert (both.widths, both.source, both.kind) == ((2, 3), "a + b", "item")


def test_joined_sources_come_apart_again():
    for before, after in zip((A, B), joined([A, B]).parts(), strict=True):
        np.testing.assert_array_equal(after.x, before.x)
        np.testing.assert_array_equal(after.present, before.present)


def test_averaged_sources_count_where_a_row_has_them():
    mean = averaged([A, SAME])
    assert mean.x.tolist() == [[2, 1], [8, 9], [3, 4], [0, 0]]
    assert mean.x.dtype == np.float32
    assert mean.present.tolist() == [True, True, True, False]
    assert (mean.widths, mean.has.tolist()) == ((2,), [[True], [True], [True], [False]])
    assert mean.source == "mean of a and same"


def test_vectors_of_two_widths_have_no_mean():
    with pytest.raises(DataError, match=r"a, b: expected vectors of one dimension to average, found \[2, 3\]"):
        averaged([A, B])


@pytest.mark.parametrize("fuse", [joined, averaged])
def test_one_source_stays_what_it_is(fuse):
    assert fuse([A]) is A


def test_a_users_mean_is_taken_source_by_source():
    user = mean_of_items(joined([A, B]), train([(0, 0), (0, 1), (0, 2), (1, 1), (2, 3)]))
    assert user.x.tolist() == [[2, 3, 6.5, 7.5, 8.5], [0, 0, 8, 9, 10], [0] * 5]
    assert user.has.tolist() == [[True, True], [False, True], [False, False]]
    assert user.present.tolist() == [True, True, False]
    assert (user.kind, user.widths, user.source) == ("user", (2, 3), "mean(a + b)")


def test_shuffled_rows_keep_their_sources_together():
    rng = np.random.default_rng(0)
    has = rng.random((300, 2)) < 0.6
    tables = [
        FeatureTable("item", (np.arange(1, 301)[:, None] * has[:, [s]]).astype(np.float32), has[:, s], str(s))
        for s in range(2)
    ]
    before = joined(tables)
    after = shuffled(before, 1)
    np.testing.assert_array_equal(after.present, before.present)
    np.testing.assert_array_equal(after.x != 0, after.has)
    assert sorted(map(tuple, after.x)) == sorted(map(tuple, before.x))
    assert (after.x[before.present] == before.x[before.present]).all(axis=1).mean() < 0.1
    assert after.source == "shuffled(0 + 1)"


def test_shuffled_edges_hand_a_users_edges_on_together():
    user = np.array([3, 3, 5, 7, 9], dtype=np.int64)
    label, weight = np.array([1, -1, 1, 1, 1], dtype=np.int8), np.ones(5, dtype=np.float32)
    edges = EdgeTable(user, np.arange(5), label, weight, "llmrec.edges")
    drawn = [shuffled_edges(edges, seed) for seed in range(20)]
    for each in drawn:
        assert set(each.user) == {3, 5, 7, 9}
        assert each.user[0] == each.user[1]
        assert np.array_equal(each.item, edges.item)
        assert each.source == "shuffled(llmrec.edges)"
    assert len({tuple(each.user) for each in drawn}) > 10


def test_shuffled_edges_of_items_keep_every_users_number_of_edges():
    rng = np.random.default_rng(0)
    user, item = rng.integers(9, size=60), rng.integers(40, size=60)
    edges = EdgeTable(user, item, np.ones(60, dtype=np.int8), np.ones(60, dtype=np.float32), "llmrec.edges")
    drawn = shuffled_edges(edges, 1, "item")
    assert np.array_equal(drawn.user, user)
    assert set(drawn.item) == set(item)
    assert (drawn.item != item).mean() > 0.8
    assert drawn.item[item == item[0]].std() == 0  # an item hands all of its edges on to one other


def test_random_vectors_stand_where_there_was_one_and_say_nothing_of_it():
    before = joined([A, B])
    one, two = randomised(before, 1), randomised(before, 1)
    np.testing.assert_array_equal(one.x, two.x)
    np.testing.assert_array_equal(one.has, before.has)
    for part, was in zip(one.parts(), before.parts(), strict=True):
        np.testing.assert_allclose(np.linalg.norm(part.x, axis=1), was.present.astype(float), atol=1e-6)
        assert not np.allclose(part.x, was.x)
    assert not np.allclose(one.x, randomised(before, 2).x)
    assert one.source == "random(a + b)"


def test_random_vectors_of_users_are_others_than_those_of_items():
    users = table([[1, 2], None, [3, 4], None], "a", kind="user")
    assert not np.allclose(randomised(users, 1).x, randomised(A, 1).x)


def test_random_edges_keep_users_labels_and_weights():
    user = np.repeat(np.arange(50), 4)
    label = np.where(np.arange(200) % 2, 1, -1).astype(np.int8)
    edges = EdgeTable(user, np.zeros(200, dtype=np.int64), label, np.ones(200, dtype=np.float32), "once.generate")
    drawn = random_edges(edges, 30, 1)
    assert np.array_equal(drawn.user, user)
    assert np.array_equal(drawn.label, label)
    assert (drawn.item.min(), drawn.item.max()) == (0, 29)
