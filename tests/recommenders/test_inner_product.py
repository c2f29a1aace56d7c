"""Vectors that are served come back from disk as they were, however they lie in memory."""

import numpy as np

from recommenders import load_recommender
from recommenders.popularity import Popularity
from tests.support.communities import two_communities


def test_columns_that_lie_in_memory_one_after_the_other_are_saved_as_rows(tmp_path):
    corpus, rng = two_communities(), np.random.default_rng(0)
    user, item = (np.asfortranarray(rng.normal(size=(n, 5))) for n in (corpus.num_users, corpus.num_items))
    made = Popularity()
    made._serve(corpus, user, item, np.ones(corpus.num_users, dtype=bool))
    made.save(tmp_path)
    loaded = load_recommender(tmp_path)
    assert np.array_equal(loaded.user, made.user)
    assert np.allclose(loaded.user[:, :5], user, atol=1e-6)
    assert np.allclose(loaded.item[:, :5], item, atol=1e-6)
