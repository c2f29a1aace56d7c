"""PureSVD where the answer is known: blocks of users and items whose singular vectors can be written down."""

import numpy as np
import polars as pl
import pytest

from features.corpus import make_corpus
from features.table import FeatureSet
from recommenders.pure_svd import PureSVD

BLOCKS, SIDE = 2, 4


def blocks(missing=()):
    """User and item n of block b are interacting, all with all, but for the pairs that are missing."""
    rows = [
        (f"u{block}{user}", f"i{block}{item}")
        for block in range(BLOCKS)
        for user in range(SIDE)
        for item in range(SIDE)
        if (block, user, item) not in missing
    ]
    splits = pl.DataFrame(rows, schema=["user_id", "item_id"], orient="row").with_columns(
        time=pl.lit(None, pl.Int64),
        order=pl.int_range(pl.len()),
        weight=pl.lit(1.0, pl.Float32),
        part=pl.lit("train"),
        split_id=pl.lit("blocks"),
    )
    users = [f"u{block}{user}" for block in range(BLOCKS) for user in range(SIDE)]
    items = [f"i{block}{item}" for block in range(BLOCKS) for item in range(SIDE)]
    return make_corpus(pl.DataFrame({"id": [*users, "u99"]}), pl.DataFrame({"id": items}), splits)


def fitted(corpus, **options):
    model = PureSVD(**options)
    model.fit(corpus, FeatureSet())
    return model


def scores(corpus, **options):
    model = fitted(corpus, **options)
    return model.user[:-1] @ model.item.T  # [U, I] of those who have train interactions


def test_two_full_blocks_have_rank_two_and_score_a_block_alike():
    """D^-1/2 R D^-1/2 is 1/4 inside a block and 0 outside, so that rank 2 has all of it."""
    found = scores(blocks())
    expected = np.kron(np.eye(BLOCKS), np.ones((SIDE, SIDE)))
    np.testing.assert_allclose(found / found.max(), expected, atol=1e-5)


def test_what_is_missing_in_a_block_comes_first():
    corpus = blocks(missing={(0, 1, 2), (1, 3, 0)})
    found = fitted(corpus).recommend(np.array([1, 7]), 1, corpus.train.by_user)
    assert found.item.tolist() == [[2], [SIDE]]


def test_a_rank_of_one_knows_one_direction_and_more_are_cut_to_a_quarter():
    assert np.linalg.matrix_rank(scores(blocks(), dim=1), tol=1e-5) == 1
    np.testing.assert_array_equal(scores(blocks(), dim=64), scores(blocks(), dim=2))


def test_a_user_without_train_gets_popular_items():
    corpus = blocks(missing={(1, user, item) for user in range(3) for item in (0, 2, 3)})
    found = fitted(corpus).recommend(np.array([8]), 3, corpus.train.by_user)
    assert found.item.tolist() == [[0, 1, 2]], "four users each, ties in index order"


def test_it_is_saved_and_loaded(tmp_path):
    corpus = blocks(missing={(0, 1, 2)})
    model = fitted(corpus)
    model.save(tmp_path)
    users = np.arange(corpus.num_users)
    again = PureSVD.load(tmp_path).recommend(users, 3)
    np.testing.assert_array_equal(again.item, model.recommend(users, 3).item)


@pytest.mark.parametrize("dim", [1, 2, 64])
def test_it_is_the_same_every_time(dim):
    np.testing.assert_array_equal(scores(blocks(), dim=dim), scores(blocks(), dim=dim))
