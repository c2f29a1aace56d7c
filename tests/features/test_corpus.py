"""The corpus: one index, parts that share it, and subjects made from train alone."""

import numpy as np
import polars as pl
import pytest

from features.corpus import make_corpus
from schemas.errors import DataError

USERS = pl.DataFrame({"id": ["u2", "u1", "u3"], "city": ["Rome", None, "Oslo"]})
ITEMS = pl.DataFrame({"id": ["b", "c", "a"], "title": ["Bee", "Cee", " "], "tags": [["x", "y"], [], None]})
ROWS = [  # user, item, time, part
    ("u1", "b", 30, "train"),
    ("u1", "a", 10, "train"),
    ("u2", "b", 20, "train"),
    ("u2", "c", 40, "valid"),
    ("u1", "c", 50, "test"),
]


def splits(rows=ROWS, split_id: str = "s") -> pl.DataFrame:
    users, items, times, parts = zip(*rows, strict=True)
    return pl.DataFrame(
        {
            "user_id": users,
            "item_id": items,
            "time": times,
            "order": range(len(rows)),
            "weight": [1.0] * len(rows),
            "part": parts,
            "split_id": split_id,
        },
        schema_overrides={"weight": pl.Float32},
    )


def test_rows_are_indexed_by_sorted_id_whatever_the_file_order() -> None:
    corpus = make_corpus(USERS, ITEMS, splits())
    assert corpus.users["id"].to_list() == ["u1", "u2", "u3"]
    assert corpus.train.edges.tolist() == [[0, 0, 1], [1, 0, 1]]
    assert corpus.test.edges.tolist() == [[0], [2]]


def test_a_user_and_an_item_without_train_rows_keep_their_place() -> None:
    corpus = make_corpus(USERS, ITEMS, splits())
    assert corpus.train.user_degree.tolist() == [2, 1, 0]
    assert corpus.train.item_degree.tolist() == [1, 2, 0]
    subject = list(corpus.train.subjects("user"))[2]
    assert (subject.id, subject.history) == ("u3", ())


def test_subjects_know_only_train_and_are_oldest_first() -> None:
    subjects = {s.id: s for s in make_corpus(USERS, ITEMS, splits()).train.subjects("user")}
    assert [event.id for event in subjects["u1"].history] == ["a", "b"]
    assert [event.time for event in subjects["u1"].history] == [10, 30]
    assert [event.id for event in subjects["u2"].history] == ["b"]


def test_item_subjects_carry_their_readers_and_upstream_profiles() -> None:
    subjects = {s.id: s for s in make_corpus(USERS, ITEMS, splits()).train.subjects("item", {"u1": "likes bees"})}
    assert [event.id for event in subjects["b"].history] == ["u2", "u1"]
    assert subjects["b"].profiles == {"u1": "likes bees"}
    assert subjects["b"].attributes == {"title": "Bee", "tags": "x; y"}
    assert subjects["a"].attributes == {}


def test_time_falls_back_to_the_given_order() -> None:
    frame = splits().with_columns(pl.lit(None, dtype=pl.Int64).alias("time"))
    corpus = make_corpus(USERS, ITEMS, frame)
    assert corpus.timed is False
    assert corpus.train.time.tolist() == [0, 1, 2]
    assert next(corpus.train.subjects("user")).history[0].time is None


def test_by_user_merges_repeated_pairs() -> None:
    corpus = make_corpus(USERS, ITEMS, splits([*ROWS, ("u1", "b", 60, "train")]))
    np.testing.assert_array_equal(corpus.train.by_user[0].toarray(), [[True, True, False]])


@pytest.mark.parametrize(
    ("users", "items", "frame", "said"),
    [
        (pl.DataFrame({"id": ["u1", "u1", "u2"]}), ITEMS, splits(), "users: id: expected unique ids, found 'u1'"),
        (pl.DataFrame({"id": ["u1", None, "u2"]}), ITEMS, splits(), "users: id: expected a value in every row"),
        (USERS, ITEMS.filter(pl.col("id") != "c"), splits(), "item_id 'c': not in the items table"),
        (USERS, ITEMS, pl.concat([splits(), splits(split_id="t")]), "expected one split id, found 2"),
    ],
)
def test_tables_that_do_not_fit_are_refused(users, items, frame, said: str) -> None:
    with pytest.raises(DataError, match=said):
        make_corpus(users, items, frame)
