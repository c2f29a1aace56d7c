import numpy as np
import polars as pl
import pytest

from features.corpus import Corpus, make_corpus
from features.table import FeatureSet, FeatureTable
from recommenders.text_match import TextMatch
from schemas.errors import DataError


@pytest.fixture
def corpus() -> Corpus:
    """u0 has i0 and i1, u1 has i4 (no text), u2 has nothing; i4 is the most popular by u3 and u4."""
    rows = [("u0", "i0"), ("u0", "i1"), ("u1", "i4"), ("u3", "i4"), ("u4", "i4"), ("u4", "i2")]
    splits = pl.DataFrame(rows, schema=["user_id", "item_id"], orient="row").with_columns(
        time=pl.lit(None, pl.Int64),
        order=pl.int_range(pl.len()),
        weight=pl.lit(1.0, pl.Float32),
        part=pl.lit("train"),
        split_id=pl.lit("s"),
    )
    return make_corpus(
        pl.DataFrame({"id": [f"u{n}" for n in range(5)]}), pl.DataFrame({"id": [f"i{n}" for n in range(6)]}), splits
    )


X = np.array([[2, 0], [0, 2], [5, 5], [1, 0], [0, 0], [0, 0]], dtype=np.float32)
ITEM = FeatureTable("item", X, np.array([True, True, True, True, False, False]), "made")


def test_cosine_to_the_mean_of_the_train_items_then_items_without_text(corpus):
    matcher = TextMatch()
    matcher.fit(corpus, FeatureSet(ITEM))
    found = matcher.recommend(np.array([0]), 4)
    assert found.item.tolist() == [[2, 3, 4, 5]]  # i4 and i5 have no text; i4 is more popular
    assert found.score[0, :2].tolist() == pytest.approx([1.0, 2**-0.5])


def test_users_without_text_get_popular_items(corpus):
    matcher = TextMatch()
    matcher.fit(corpus, FeatureSet(ITEM))
    found = matcher.recommend(np.array([1, 2]), 3)
    assert found.item.tolist() == [[0, 1, 2], [4, 0, 1]]


def test_profiles_are_used_where_there_are_any(corpus):
    x = np.zeros((5, 2), dtype=np.float32)
    x[0] = [3, 0]
    profile = FeatureTable("user", x, np.arange(5) == 0, "profiles")
    matcher = TextMatch(user="profile")
    matcher.fit(corpus, FeatureSet(ITEM, profile))
    found = matcher.recommend(np.array([0, 4]), 2)
    assert found.item[0].tolist() == [3, 2]
    assert found.score[0, 0] == pytest.approx(1)
    assert found.score[1, 0] == pytest.approx(2**-0.5)  # u4 has no profile: i2 alone, at 45 degrees to all others


def test_without_a_table_it_says_so(corpus):
    with pytest.raises(DataError, match="expected item text, found none"):
        TextMatch().fit(corpus, FeatureSet())
