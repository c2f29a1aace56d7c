"""The k best are those of a stable sort: nothing is lost in a group or a tile, and ties have an order."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from evaluation.ranking import rank_among, rank_vectors, top_k
from evaluation.tiles import TILE, Tiles, block_size
from recommenders.base import InnerProduct
from schemas.errors import DataError

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]


def sorted_columns(scores: np.ndarray, k: int) -> list[list[int]]:
    """By score from the top, equal ones by column; -1 where nothing is left."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.where(np.isneginf(np.take_along_axis(scores, order, axis=1)), -1, order).tolist()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("levels", [3, 50, 10**6])  # how many different scores there are: nearly all tied, some, none
@pytest.mark.parametrize(("items", "k"), [(7, 7), (300, 1), (1000, 20), (5000, 20), (5000, 100)])
def test_top_k_equals_a_stable_sort(items, k, levels, device):
    rng = np.random.default_rng(items + levels)
    scores = rng.integers(0, levels, (9, items)).astype(np.float32)
    seen = csr_matrix(rng.random((9, items)) < 0.2)
    found = top_k(torch.tensor(scores, device=device), np.arange(9), seen, k)
    scores[seen.toarray()] = -np.inf
    assert found.item.tolist() == sorted_columns(scores, k)
    assert np.array_equal(found.score, -np.sort(-scores, axis=1)[:, :k])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("items", "k"), [(50, 50), (TILE, 5), (2 * TILE + 77, 20), (3 * TILE + 1, 20)])
@pytest.mark.parametrize("hidden", [0.001, 0.9])  # a few groups are looked at again, or all of them
def test_inner_products_in_tiles_equal_a_stable_sort(items, k, hidden, device):
    rng = np.random.default_rng(items)
    user, item = (rng.integers(-2, 3, (count, 3)).astype(np.float32) for count in (30, items))  # exact, and many ties
    seen, users = csr_matrix(rng.random((30, items)) < hidden), rng.permutation(30)[:23]
    dense = np.where(seen.toarray(), -np.inf, user @ item.T)[users]
    vectors = (torch.tensor(x, device=device) for x in (user, item))
    found = rank_vectors(*vectors, users, k, seen, scores_at_once=10 * items)  # ten users at a time, three at last
    assert found.item.tolist() == sorted_columns(dense, k)
    assert np.array_equal(found.user, users)


@pytest.mark.parametrize("place", [0, TILE - 1, TILE, 2 * TILE + 10])
def test_a_nan_anywhere_is_refused(place):
    user, item = torch.ones(4, 2), torch.ones(2 * TILE + 11, 2)
    item[place, 1] = torch.nan
    with pytest.raises(DataError, match="NaN"):
        rank_vectors(user, item, np.arange(4), 3, csr_matrix((4, len(item)), dtype=bool))
    with pytest.raises(DataError, match="NaN"):
        top_k(user @ item.T, np.arange(4), None, 3)


def test_what_has_been_masked_in_one_block_is_there_again_in_the_next():
    item = torch.arange(1.0, 301.0)[:, None]
    seen = csr_matrix(np.vstack([np.ones((1, 300)), np.zeros((1, 300))]).astype(bool))
    found = rank_vectors(torch.ones(2, 1), item, np.array([0, 1]), 2, seen, scores_at_once=300)
    assert found.item.tolist() == [[-1, -1], [299, 298]]


def test_vectors_that_are_still_trained_are_ranked_too():
    user, item = torch.ones(1, 2, requires_grad=True), torch.rand(100, 2, requires_grad=True)
    assert rank_vectors(user, item, np.array([0]), 3, csr_matrix((1, 100), dtype=bool)).item.shape == (1, 3)


@pytest.mark.parametrize("device", DEVICES)
def test_memory_bounds_the_users_of_a_block_and_a_gpu_has_one_tile(device):
    place = torch.device(device)
    assert block_size(41_000, 2**25, torch.device("cpu")) == 128
    assert block_size(10**6, 2**25, place) == 33
    assert block_size(10**9, 2**25, place) == 1
    tiles = Tiles(torch.zeros(5 * TILE, 2, device=place), 3)
    assert tiles.scores.shape == ((5, 3, TILE) if device == "cpu" else (1, 3, 5 * TILE))


def test_a_whole_row_of_equal_scores_is_in_the_order_of_items_among_those_that_may_be_ranked():
    class Zeros(InnerProduct):
        name, user, item = "zeros", np.zeros((3, 2), np.float32), np.zeros((700, 2), np.float32)

        def fit(self, corpus, features): ...

    inside = np.arange(700) % 7 == 0
    found = rank_among(Zeros(), np.array([0, 2]), 5, csr_matrix((3, 700), dtype=bool), inside)
    assert found.item.tolist() == [[0, 7, 14, 21, 28]] * 2
