import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from evaluation.ranking import entries, join, rank, rank_vectors, top_k
from evaluation.recommendations import Recommendations
from schemas.errors import DataError


def test_top_k_masks_the_seen_items_of_the_asked_user():
    scores = torch.tensor([[9.0, 1.0, 5.0, 3.0]])
    seen = csr_matrix(np.array([[0, 0, 0, 1], [1, 0, 0, 0]], dtype=bool))
    found = top_k(scores, np.array([1]), seen, k=2)
    assert found.user.tolist() == [1]
    assert found.item.tolist() == [[2, 3]]
    assert found.score.tolist() == [[5.0, 3.0]]


def test_what_is_left_is_padded():
    seen = csr_matrix(np.array([[1, 0, 1]], dtype=bool))
    found = top_k(torch.tensor([[3.0, 2.0, 1.0]]), np.array([0]), seen, k=5)
    assert found.item.tolist() == [[1, -1, -1, -1, -1]]
    assert found.score[0, 0] == 2
    assert np.isneginf(found.score[0, 1:]).all()


def test_nan_scores_are_refused():
    with pytest.raises(DataError, match="NaN"):
        top_k(torch.tensor([[1.0, float("nan")]]), np.array([0]), None, k=1)


def test_entries_follow_the_asked_order_and_repeat():
    matrix = csr_matrix(np.array([[0, 1, 1], [0, 0, 0], [1, 0, 0]], dtype=bool))
    row, column = entries(matrix, np.array([2, 1, 0, 2]))
    assert row.tolist() == [0, 2, 2, 3]
    assert column.tolist() == [0, 1, 2, 0]


def test_rank_vectors_equals_a_dense_sort():
    rng = np.random.default_rng(0)
    user, item = torch.tensor(rng.normal(size=(10, 4))).float(), torch.tensor(rng.normal(size=(20, 4))).float()
    seen = csr_matrix(rng.random((10, 20)) < 0.3)
    users = np.array([7, 0, 3, 9, 1, 2, 8])
    dense = (user @ item.T).numpy()
    dense[seen.toarray()] = -np.inf
    expected = np.argsort(-dense[users], axis=1)[:, :5]
    found = rank_vectors(user, item, users, 5, seen, scores_at_once=60)  # three users at a time
    assert found.item.tolist() == expected.tolist()
    assert found.user.tolist() == users.tolist()


class Identity:
    """Recommends the user's own number; remembers how many it was asked for at once."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def recommend(self, users, k, seen=None):
        self.asked.append(len(users))
        return Recommendations(users, np.repeat(users[:, None], k, 1), np.zeros((len(users), k), np.float32))


def test_rank_asks_in_chunks_and_keeps_the_order():
    recommender = Identity()
    found = rank(recommender, np.array([5, 4, 3, 2, 1]), 2, csr_matrix((6, 6), dtype=bool), chunk=2)
    assert recommender.asked == [2, 2, 1]
    assert found.item[:, 0].tolist() == [5, 4, 3, 2, 1]


def test_nobody_asked_gives_empty_recommendations():
    assert join([], k=3).item.shape == (0, 3)
