"""What train knows nothing of is judged apart: new users by what is known when they are served, new items by text."""

import numpy as np
import polars as pl
import pytest

from evaluation.judge import examine
from evaluation.protocol import testing as make_test_exam
from evaluation.ranking import rank_among
from features.corpus import make_corpus
from features.table import FeatureSet, FeatureTable, mean_of_items
from recommenders.base import InnerProduct
from recommenders.text_match import TextMatch
from schemas.sections import Evaluation

SETTINGS = Evaluation(ks=(2,), cold=1)


@pytest.fixture
def corpus():
    """u0 and u1 are warm; train has nothing of u2, whose reserved events are known; i4 and i5 are new."""
    rows = [
        *[("u0", f"i{item}", "train") for item in (0, 1)],
        *[("u1", f"i{item}", "train") for item in (2, 3)],
        *[("u2", f"i{item}", "reserved") for item in (0, 1)],
        ("u0", "i5", "reserved"),
        ("u0", "i2", "valid"),
        ("u0", "i4", "test"),
        ("u1", "i1", "test"),
        ("u2", "i2", "test"),
    ]
    splits = pl.DataFrame(rows, schema=["user_id", "item_id", "part"], orient="row").with_columns(
        time=pl.lit(None, pl.Int64), order=pl.int_range(pl.len()), weight=pl.lit(1.0, pl.Float32), split_id=pl.lit("x")
    )
    tables = [pl.DataFrame({"id": [f"{kind}{n}" for n in range(size)]}) for kind, size in (("u", 3), ("i", 6))]
    return make_corpus(*tables, splits)


class Fixed(InnerProduct):
    """Every user likes items in index order, or as `vectors` say."""

    name = "fixed"

    def fit(self, corpus, features):
        count = corpus.num_items
        user = np.ones((corpus.num_users, 1), np.float32)
        item = -np.arange(count, dtype=np.float32)[:, None]
        self._serve(corpus, user, item, has_vector=corpus.train.user_degree > 0)


def fitted(corpus):
    model = Fixed()
    model.fit(corpus, FeatureSet())
    return model


def test_new_users_are_no_part_of_the_overall_figures(corpus):
    exam = make_test_exam(corpus)
    assert exam.users.tolist() == [0, 1]
    assert exam.new_users.tolist() == [2]
    verdict = examine(fitted(corpus), exam, SETTINGS)
    assert verdict.scores.user.tolist() == [0, 1]
    assert verdict.slices["new users"].user.tolist() == [2]


def test_reserved_events_are_masked(corpus):
    exam = make_test_exam(corpus)
    found = fitted(corpus).recommend(np.array([0, 2]), 6, exam.seen)
    assert set(found.item[0][found.item[0] >= 0]) == {3, 4}, "i0 and i1 are train, i2 valid, i5 reserved"
    assert {0, 1}.isdisjoint(found.item[1])


def test_new_items_are_ranked_among_themselves(corpus):
    exam = make_test_exam(corpus)
    verdict = examine(fitted(corpus), exam, SETTINGS)
    assert verdict.slices["new items"].values["recall@20"].tolist() == [1.0], "of six items all fit into twenty"
    among = verdict.slices["new items among themselves"]
    assert among.user.tolist() == [0]
    assert among.values["mrr@20"].tolist() == [1.0], "i5 is known, so i4 is the first of the new ones"


def test_only_items_inside_the_slice_are_recommended(corpus):
    inside = np.array([False, True, False, False, True, True])
    model, seen = fitted(corpus), make_test_exam(corpus).seen
    found = rank_among(model, np.array([0, 1, 2]), 4, seen, inside)
    assert found.item.tolist() == [[4, -1, -1, -1], [1, 4, 5, -1], [5, 4, -1, -1]], "u2 is folded in"
    assert np.array_equal(rank_among(model, np.array([0, 1, 2]), 4, seen, inside, chunk=1).item, found.item)


def test_a_new_user_is_folded_in_by_the_items_known_of_him(corpus):
    """His vector is the mean of their vectors, where the model has none for him."""

    class Learned(Fixed):
        def fit(self, corpus, features):
            item = np.eye(6, dtype=np.float32)
            item[2] = item[0]  # i2 is like i0, which u2 has
            user = np.zeros((3, 6), np.float32)
            self._serve(corpus, user, item, has_vector=corpus.train.user_degree > 0)

    model = Learned()
    model.fit(corpus, FeatureSet())
    assert model.user[2].tolist() == [0.5, 0.5, 0, 0, 0, 0, 0], "the last one would be popularity"
    assert model.recommend(np.array([2]), 1, make_test_exam(corpus).seen).item.tolist() == [[2]]


def test_the_text_of_a_new_user_is_the_mean_of_his_reserved_items(corpus):
    x = np.eye(6, dtype=np.float32)
    x[2] = x[1]
    items = FeatureTable("item", x, np.ones(6, dtype=bool), "title")
    assert not mean_of_items(items, corpus.train).present[2]
    assert mean_of_items(items, corpus.served).x[2].tolist() == [0.5, 0.5, 0, 0, 0, 0]
    model = TextMatch()
    model.fit(corpus, FeatureSet(items))
    verdict = examine(model, make_test_exam(corpus), SETTINGS)
    assert verdict.slices["new users"].values["mrr@20"].tolist() == [1.0]
