import numpy as np
import pytest
from scipy.sparse import csr_matrix

from evaluation.judge import examine
from evaluation.protocol import Exam
from evaluation.recommendations import Recommendations
from features.corpus import Part
from schemas.sections import Evaluation


class Ascending:
    """Recommends 0, 1, 2, ... to everybody, whatever was seen."""

    def recommend(self, users, k, seen=None):
        item = np.tile(np.arange(k), (len(users), 1))
        return Recommendations(users, item, np.zeros(item.shape, dtype=np.float32))


def test_the_verdict_holds_means_coverage_and_slices():
    """Thirty items, one train interaction each of items 0 and 29; truth: user 0 has item 4, user 1 item 25."""
    train = Part(2, 30, np.array([[0, 1], [0, 29]]), np.arange(2), np.ones(2, np.float32))
    truth = csr_matrix((np.ones(2, bool), ([0, 1], [4, 25])), shape=(2, 30))
    exam = Exam("test", train, truth, train.by_user, 0)
    verdict = examine(Ascending(), exam, Evaluation(ks=(5, 10), cold=0))
    means = verdict.means()
    assert means["recall@5"] == 0.5
    assert means["mrr@10"] == pytest.approx(0.1)
    assert means["coverage@10"] == pytest.approx(1 / 3)
    assert "recall@20" not in means
    slices = verdict.slice_means()
    assert slices["cold items"]["users"] == 2
    assert slices["cold items"]["recall@20"] == 0.5
    assert slices["warm items"] == {"users": 0.0}
