"""Controls of sequential models: what came after the last item, and what reads like it."""

import numpy as np
import polars as pl
import pytest

from features.corpus import Corpus, make_corpus
from features.table import FeatureSet, FeatureTable
from recommenders.most_recent import MostRecent, transitions
from recommenders.text_knn import TextKNN
from schemas.errors import DataError

WALKS = {"u0": [0, 1, 2], "u1": [3, 1, 2], "u2": [0, 1, 4], "u3": [5, 3]}
HELD = {"u3": [("valid", 0), ("test", 1)]}


@pytest.fixture
def corpus() -> Corpus:
    rows = [(user, f"i{item}", "train") for user, walk in WALKS.items() for item in walk]
    rows += [(user, f"i{item}", part) for user, held in HELD.items() for part, item in held]
    splits = pl.DataFrame(rows, schema=["user_id", "item_id", "part"], orient="row").with_columns(
        time=pl.lit(None, pl.Int64),
        order=pl.int_range(pl.len()),
        weight=pl.lit(1.0, pl.Float32),
        split_id=pl.lit("s"),
    )
    tables = [pl.DataFrame({"id": [f"{kind}{n}" for n in range(size)]}) for kind, size in (("u", 4), ("i", 6))]
    return make_corpus(*tables, splits)


def test_transitions_count_what_came_next(corpus):
    found = transitions(corpus.train, 1).toarray()
    assert found[0].tolist() == [0, 2, 0, 0, 0, 0]
    assert found[1].tolist() == [0, 0, 2, 0, 1, 0]
    assert found[3, 1] == found[5, 3] == 1
    assert found.sum() == 7


def test_a_wider_window_counts_later_ones_less(corpus):
    found = transitions(corpus.train, 2).toarray()
    assert found[0].tolist() == [0, 2, 0.5, 0, 0.5, 0]
    assert found.sum() == 7 + 3 * 0.5


def test_the_last_item_decides_and_at_test_it_is_that_of_validation(corpus):
    made = MostRecent(window=1, power=0.0)
    made.fit(corpus, FeatureSet())
    user, seen = np.array([3]), corpus.train.by_user
    assert made.recommend(user, 1, seen).item[0, 0] == 1  # after i0
    on_validation = made.for_validation().recommend(user, 1, seen)
    assert on_validation.item[0, 0] == 1  # after i3, which u1 took before i1
    assert made.recommend(np.array([0]), 1, seen).item[0, 0] not in (0, 1, 2)


def test_popular_followers_can_be_weighed_down(corpus):
    """After i1 came i2 twice and i4 once; i2 is twice as popular."""
    made = MostRecent(window=1, power=1.0)
    made.fit(corpus, FeatureSet())
    assert made.between(np.array([1]))[0, [2, 4]].tolist() == pytest.approx([1.0, 1.0])


X = np.eye(6, dtype=np.float32)
X[2], X[4] = [0, 0.9, 0.4, 0, 0, 0], [0.8, 0, 0, 0, 0.6, 0]


def test_texts_near_the_last_items(corpus):
    item = FeatureTable("item", X, np.arange(6) < 5, "made")
    made = TextKNN(recent=1)
    made.fit(corpus, FeatureSet(item))
    seen = corpus.train.by_user
    assert made.recommend(np.array([3]), 1, seen).item[0, 0] == 4  # its text is near i0's
    assert made.for_validation().recommend(np.array([3]), 1, seen).score[0, 0] < 0.01  # nothing is near i3's


def test_text_is_needed(corpus):
    with pytest.raises(DataError, match="text_knn: features: expected item text, found none"):
        TextKNN().fit(corpus, FeatureSet())
