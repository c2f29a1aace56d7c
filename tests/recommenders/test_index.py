"""The index finds what exact search finds, under masks and from disk; which metric is better where lengths differ."""

import sys

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from features.table import FeatureSet
from recommenders.index import Build, ItemIndex, index_of, load_index, recall, recommend_by
from recommenders.pure_svd import PureSVD
from schemas.errors import ConfigError, StoreError
from tests.support.communities import two_communities

pytest.importorskip("usearch")
ITEMS, USERS, DIM, K = 3000, 200, 24, 20
IP, AUGMENTED = Build(), Build(metric="augmented")


def served(length: str, hidden: int = 5) -> PureSVD:
    """Random directions; all items as long as each other, or some many times longer; `hidden` items of every user."""
    rng = np.random.default_rng(0)
    item = rng.normal(size=(ITEMS, DIM))
    item /= np.linalg.norm(item, axis=1, keepdims=True)
    item *= rng.lognormal(0, 1, size=(ITEMS, 1)) if length == "unequal" else 1.0
    model = PureSVD()
    model.fit(two_communities(), FeatureSet())
    model.item = np.column_stack([item, rng.random(ITEMS)]).astype(np.float32)  # the last one is popularity
    model.user = np.column_stack([rng.normal(size=(USERS, DIM)), np.zeros(USERS)]).astype(np.float32)
    model.user[-1] = [0] * DIM + [1]  # nothing is known of the last user
    exact = np.argsort(-(model.user @ model.item.T), axis=1)[:, :hidden]  # the best ones, so that masks count
    rows = np.repeat(np.arange(USERS), hidden)
    model.known = csr_matrix((np.ones(rows.size, dtype=bool), (rows, exact.ravel())), shape=(USERS, ITEMS))
    model.known.sort_indices()
    return model


def found_by(model: PureSVD, build: Build) -> float:
    users = np.arange(USERS)
    return recall(recommend_by(index_of(model, build), model, users, K), model.recommend(users, K))


def test_lists_are_those_of_exact_search():
    model, users = served("unequal"), np.arange(USERS)[::-1].copy()
    found, exact = recommend_by(index_of(model), model, users, K), model.recommend(users, K)
    assert recall(found, exact) > 0.95
    assert np.array_equal(found.user, users)
    same = found.item == exact.item
    assert np.allclose(found.score[same], exact.score[same], atol=1e-4)
    assert (found.score[:, :-1] >= found.score[:, 1:]).all()
    assert np.array_equal(found.item[0], exact.item[0]), "of whom nothing is known gets popular items"


def test_the_plain_inner_product_is_the_better_metric_where_lengths_differ():
    """One more dimension (Bachrach et al.) puts all but the longest items next to each other at its pole."""
    assert found_by(served("equal"), IP) > 0.95
    assert found_by(served("equal"), AUGMENTED) > 0.95
    assert found_by(served("unequal"), IP) > found_by(served("unequal"), AUGMENTED) + 0.2


@pytest.mark.parametrize("build", [IP, AUGMENTED], ids=["ip", "augmented"])
def test_whoever_has_seen_the_best_hundred_still_gets_k(build):
    model, users = served("unequal", hidden=100), np.arange(USERS)
    found = recommend_by(index_of(model, build), model, users, K)
    assert (found.item >= 0).all()
    seen = model.known.toarray()
    assert not seen[users[:, None], found.item].any()
    assert all(len(set(row)) == K for row in found.item.tolist())


def test_fewer_items_than_k_are_padded():
    item = np.eye(4, dtype=np.float32)
    seen = csr_matrix(np.array([[True, True, False, False], [False] * 4]))
    found = ItemIndex.of(item).search(np.array([[4, 3, 2, 1], [1, 2, 3, 4]], dtype=np.float32), 5, seen)
    assert found.item.tolist() == [[2, 3, -1, -1, -1], [3, 2, 1, 0, -1]]
    assert found.score[0].tolist() == [2, 1, -np.inf, -np.inf, -np.inf]
    alone = ItemIndex.of(item).search(np.array([[4, 3, 2, 1]], dtype=np.float32), 2)
    assert alone.item.tolist() == [[0, 1]]


def test_saved_and_loaded_it_finds_the_same(tmp_path):
    model, users = served("unequal"), np.arange(USERS)
    index = index_of(model, Build(connectivity=8, expansion_add=32, expansion_search=40))
    index.save(tmp_path, {"model": "x"})
    loaded = load_index(tmp_path, model)
    assert loaded.build == index.build
    assert np.array_equal(recommend_by(loaded, model, users, K).item, recommend_by(index, model, users, K).item)


def test_an_index_that_is_not_there_or_of_another_catalogue_is_refused(tmp_path):
    model = served("equal")
    with pytest.raises(StoreError, match=r"no index here; run `loregraph recommend`"):
        load_index(tmp_path, model)
    index_of(model).save(tmp_path, {})
    model.item = model.item[:-1]
    with pytest.raises(StoreError, match="expected 2999 items, found 3000"):
        load_index(tmp_path, model)


def test_more_candidates_find_more():
    model = served("unequal")
    few, many = (found_by(model, Build(connectivity=4, expansion_add=8, expansion_search=n)) for n in (1, 512))
    assert many > few


def test_without_usearch_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "usearch", None)
    with pytest.raises(ConfigError, match=r"pip install 'loregraph\[ann\]'"):
        ItemIndex.of(np.eye(4, dtype=np.float32))
