import numpy as np
import pytest
from scipy.sparse import csr_matrix

from evaluation.protocol import Exam
from evaluation.recommendations import Recommendations
from evaluation.slices import item_slices, score_items, score_slices, user_slices
from features.corpus import Part


def part(edges: list[tuple[int, int]], users: int = 3, items: int = 5) -> Part:
    pairs = np.array(edges, dtype=np.int64).T
    return Part(users, items, pairs, np.arange(len(edges)), np.ones(len(edges), np.float32))


# item degrees 3, 2, 1, 0, 0; user degrees 3, 2, 1
TRAIN = part([(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (0, 2)])


def test_items_are_sliced_by_train_degree():
    slices = item_slices(TRAIN, cold=1, head=0.2)
    assert slices["cold items"].tolist() == [False, False, True, True, True]
    assert slices["warm items"].tolist() == [True, True, False, False, False]
    assert slices["head items"].tolist() == [True, False, False, False, False]
    assert slices["tail items"].tolist() == [False, True, True, True, True]


def exam(truth: csr_matrix) -> Exam:
    return Exam("test", TRAIN, truth, TRAIN.by_user, 0)


def truth_of(rows: list[list[int]]) -> csr_matrix:
    dense = np.zeros((3, 5), dtype=bool)
    for user, row in enumerate(rows):
        dense[user, row] = True
    return csr_matrix(dense)


def test_users_are_sliced_at_the_median_of_the_judged():
    slices = user_slices(exam(truth_of([[3], [3], [3]])))
    assert slices["few interactions"].tolist() == [False, True, True]
    assert slices["many interactions"].tolist() == [True, False, False]


def test_only_truth_inside_the_slice_counts():
    """User 1: item 3 (cold) at rank 2 of truth {2, 3}; user 2 has no truth in the slice."""
    recommended = Recommendations(np.array([1, 2]), np.array([[2, 3], [1, 0]]), np.zeros((2, 2), np.float32))
    inside = np.array([False, False, False, True, True])
    scores = score_items(recommended, truth_of([[], [2, 3], [1]]), inside, ks=(2,))
    assert scores.user.tolist() == [1]
    assert scores.values["recall@2"].tolist() == [1.0]
    assert scores.values["mrr@2"].tolist() == [0.5]


def test_every_slice_is_scored_on_its_own_users():
    truth = truth_of([[3], [2, 4], [1]])
    recommended = Recommendations(np.arange(3), np.array([[3, 4], [3, 4], [3, 1]]), np.zeros((3, 2), np.float32))
    scores = score_slices(recommended, exam(truth), cold=1, head=0.4, ks=(2,))
    assert {name: each.user.tolist() for name, each in scores.items()} == {
        "cold items": [0, 1],
        "warm items": [2],
        "head items": [2],
        "tail items": [0, 1],
        "new items": [0, 1],
        "few interactions": [1, 2],
        "many interactions": [0],
    }
    assert scores["cold items"].mean()["recall@2"] == pytest.approx(0.75)
    assert scores["many interactions"].mean()["recall@2"] == 1
