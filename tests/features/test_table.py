"""Alignment of vectors with ids, user means and the shuffled control."""

import numpy as np
import polars as pl
import pytest

from features.corpus import Part
from features.table import FeatureTable, align, mean_of_items, shuffled
from schemas.errors import DataError

IDS = pl.Series("id", ["a", "b", "c"])


def vectors(rows: dict[str, list[float]]) -> pl.DataFrame:
    return pl.DataFrame(
        {"id": list(rows), "vector": list(rows.values())}, schema_overrides={"vector": pl.List(pl.Float32)}
    )


def test_vectors_land_on_their_ids_whatever_their_order() -> None:
    table = align(vectors({"c": [3, 4], "a": [1, 2]}), IDS, "item", "s")
    assert table.x.tolist() == [[1, 2], [0, 0], [3, 4]]
    assert table.present.tolist() == [True, False, True]
    assert table.x.dtype == np.float32


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ({"z": [1, 2]}, "'z': has a vector but is not in the items table"),
        ({"a": [1, 2], "b": [1]}, "one dimension, found \\[1, 2\\]"),
        ({"a": [1, float("nan")]}, "'a': expected finite values"),
    ],
)
def test_vectors_that_cannot_be_placed_are_refused(rows, said: str) -> None:
    with pytest.raises(DataError, match=said):
        align(vectors(rows), IDS, "item", "s")


def test_two_vectors_for_one_id_are_refused() -> None:
    twice = pl.concat([vectors({"a": [1, 2]}), vectors({"a": [2, 1]})])
    with pytest.raises(DataError, match="'a': expected one vector, found several"):
        align(twice, IDS, "item", "s")


def train(edges: list[tuple[int, int]], users: int = 3, items: int = 3) -> Part:
    array = np.array(edges, dtype=np.int64).T
    return Part(users, items, array, np.arange(len(edges)), np.ones(len(edges), dtype=np.float32))


def test_a_users_vector_is_the_mean_of_his_items_that_have_one() -> None:
    items = align(vectors({"a": [2, 0], "b": [0, 4]}), IDS, "item", "s")
    table = mean_of_items(items, train([(0, 0), (0, 1), (0, 2), (1, 2)]))
    assert table.x.tolist() == [[1, 2], [0, 0], [0, 0]]
    assert table.present.tolist() == [True, False, False]
    assert table.source == "mean(s)"


def test_a_repeated_pair_counts_once_in_the_mean() -> None:
    items = align(vectors({"a": [2, 0], "b": [0, 4]}), IDS, "item", "s")
    assert mean_of_items(items, train([(0, 0), (0, 0), (0, 1)])).x[0].tolist() == [1, 2]


def test_shuffling_moves_vectors_among_rows_that_have_one_and_is_seeded() -> None:
    rng = np.random.default_rng(0)
    present = np.arange(200) % 4 != 0
    table = FeatureTable("item", (rng.normal(size=(200, 3)) * present[:, None]).astype(np.float32), present, "s")
    one, two = shuffled(table, 1), shuffled(table, 1)
    np.testing.assert_array_equal(one.x, two.x)
    assert not one.x[~present].any()
    assert sorted(map(tuple, one.x[present])) == sorted(map(tuple, table.x[present]))
    assert (one.x[present] == table.x[present]).all(axis=1).mean() < 0.1
