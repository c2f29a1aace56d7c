"""Neighbours of items: exact, in any blocks, of every recommender that compares items."""

import numpy as np
import pytest

from features.table import FeatureSet
from recommenders import RECOMMENDERS, make_recommender
from recommenders.neighbours import neighbours
from recommenders.pure_svd import PureSVD
from schemas.errors import DataError
from schemas.run import Run
from schemas.sections import Data, Features, Model, Part, Training
from tests.support.communities import ITEMS, community_text, two_communities

TRAINING = Training(loss="infonce", negatives=20, batch_size=64, learning_rate=0.02, max_epochs=4, evaluate_every=2)
RUN = Run(name="two", lake="lake", data=Data(path="data"), training=TRAINING, device="cpu")
MODELS = {
    name: Model(name=name, recommender=name, features=Features(item="title"))
    for name, each in RECOMMENDERS.items()
    if each.compares and name not in ("graph", "transfer")
}
MODELS["graph"] = Model(name="graph", backbone=Part(name="lightgcn", options={"dim": 8}))
CATALOGUE = np.arange(2 * ITEMS + 1)


@pytest.fixture(scope="module")
def corpus():
    return two_communities()


@pytest.mark.parametrize("name", MODELS)
def test_the_neighbours_of_a_book_are_of_its_community_and_never_itself(name, corpus):
    model = make_recommender(MODELS[name], RUN, seed=1)
    model.fit(corpus, community_text())
    found = neighbours(model, CATALOGUE, 3)
    own = found.item[: 2 * ITEMS]
    assert (own >= 0).all()
    assert (own // ITEMS == np.arange(2 * ITEMS)[:, None] // ITEMS).all()
    assert (found.item != CATALOGUE[:, None]).all()
    assert (found.score[:, :-1] >= found.score[:, 1:]).all()
    if name != "graph":  # whose vectors of unknown items are what they were drawn as
        assert (found.item[-1] == -1).all(), "of i99 there is neither an event nor a text"
    one_by_one = neighbours(model, CATALOGUE, 3, scores_at_once=1)
    assert np.allclose(one_by_one.score[:-1], found.score[:-1], atol=1e-6)


def test_they_are_the_exact_ones(corpus):
    model = PureSVD()
    rng = np.random.default_rng(0)
    model.fit(corpus, FeatureSet())
    model.item = rng.normal(size=(50, 6)).astype(np.float32)
    unit = model.item[:, :5] / np.linalg.norm(model.item[:, :5], axis=1, keepdims=True)
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, -2)
    expected = np.argsort(-cosine, axis=1)[:, :4]
    found = neighbours(model, np.array([7, 3, 41]), 4)
    assert found.user.tolist() == [7, 3, 41]
    assert np.array_equal(found.item, expected[[7, 3, 41]])
    assert np.allclose(found.score, np.take_along_axis(cosine, expected, axis=1)[[7, 3, 41]], atol=1e-6)


def test_a_kernel_gives_its_row_with_low_rank_parts_and_without_users(corpus):
    profiled = MODELS["lore_filter"].model_copy(update={"options": {"profile": 0.5}})
    model = make_recommender(profiled, RUN, 1)
    model.fit(corpus, community_text())
    kernel = model.state.kernel
    assert kernel.users is not None
    matrix = kernel.matrix if isinstance(kernel.matrix, np.ndarray) else kernel.matrix.toarray()
    whole = matrix + sum(left @ right for left, right in kernel.low_rank)
    assert np.allclose(model.between(np.array([2, 9])), whole[[2, 9]], atol=1e-5)


def test_popularity_compares_no_items(corpus):
    model = make_recommender(Model(name="x", recommender="popularity"), RUN, 1)
    model.fit(corpus, FeatureSet())
    assert model.compares is None
    with pytest.raises(DataError, match="popularity: compares no items"):
        neighbours(model, CATALOGUE, 3)
