import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from evaluation.metrics import coverage, hits, score
from evaluation.recommendations import Recommendations
from schemas.errors import DataError


def ranked(*rows: list[int]) -> Recommendations:
    item = np.array(rows, dtype=np.int64)
    return Recommendations(np.arange(len(rows)), item, -np.arange(item.shape[1], dtype=np.float32) + 0 * item)


def truth_of(*rows: list[int], items: int) -> csr_matrix:
    dense = np.zeros((len(rows), items), dtype=bool)
    for user, row in enumerate(rows):
        dense[user, row] = True
    return csr_matrix(dense)


def test_the_worked_example():
    """Truth {3, 7, 9}, ranking [7, 1, 3, 4, 9]: DCG@3 = 1 + 1/2, ideal = 1 + .63093 + .5."""
    means = score(ranked([7, 1, 3, 4, 9]), truth_of([3, 7, 9], items=10), ks=(3, 5)).mean()
    assert means["recall@3"] == pytest.approx(2 / 3)
    assert means["precision@3"] == pytest.approx(2 / 3)
    assert means["ndcg@3"] == pytest.approx(1.5 / 2.1309298, abs=1e-6)
    assert means["recall@5"] == 1
    assert means["precision@5"] == pytest.approx(3 / 5)


def test_one_hit_of_three_is_not_a_perfect_ndcg():
    """The ideal is taken from the truth, not from the retrieved hits."""
    assert score(ranked([3, 1, 2]), truth_of([3, 7, 9], items=10), ks=(3,)).mean()["ndcg@3"] == pytest.approx(
        0.46928, abs=1e-5
    )


@pytest.mark.parametrize(
    ("ranking", "ndcg", "retrieved"),
    [
        ([7, 1, 3, 4, 9], 0.70392, 0.70392),  # hits 1 0 1 0 1: the third, at rank 5, counts in the ideal of LLMRec
        ([7, 1, 2, 4, 5], 0.46928, 1.0),  # hits 1 0 0 0 0
        ([1, 2, 4, 5, 6], 0.0, 0.0),
        ([1, 2, 4, 5, 9], 0.0, 0.0),
    ],
)
def test_the_worked_example_with_the_ideal_of_llmrec(ranking, ndcg, retrieved):
    means = score(ranked(ranking), truth_of([3, 7, 9], items=10), ks=(3,), ideal="retrieved").mean()
    assert means["ndcg@3"] == pytest.approx(ndcg, abs=1e-5)
    assert means["ndcg_retrieved_ideal@3"] == pytest.approx(retrieved, abs=1e-5)


def test_recall_divides_by_all_of_the_truth():
    assert score(ranked([0, 1]), truth_of([0, 1, 2, 3], items=5), ks=(2,)).mean()["recall@2"] == pytest.approx(0.5)


def test_mrr_and_hit_rate_look_at_the_first_hit_within_k():
    scores = score(ranked([0, 1, 2], [0, 1, 2]), truth_of([2], [4], items=5), ks=(2, 3))
    assert scores.values["mrr@3"].tolist() == [pytest.approx(1 / 3), 0]
    assert scores.values["mrr@2"].tolist() == [0, 0]
    assert scores.values["hr@3"].tolist() == [1, 0]


def test_padding_is_never_a_hit():
    """Key arithmetic would take -1 of user 1 for the last item of user 0."""
    assert not hits(ranked([0, 1], [-1, -1]), truth_of([4], [0], items=5)).any()


def test_coverage_counts_items_once_and_padding_never():
    assert coverage(ranked([0, 1], [1, -1]), num_items=4, k=2) == 0.5
    assert coverage(ranked([0, 1], [1, -1]), num_items=4, k=1) == 0.5


def test_bad_requests_are_named():
    with pytest.raises(DataError, match="at least 20 columns, found 2"):
        score(ranked([0, 1]), truth_of([0], items=3), ks=(20,))
    with pytest.raises(DataError, match="user row 0: expected at least one item"):
        score(ranked([0, 1]), truth_of([], items=3), ks=(2,))


@pytest.mark.parametrize("k", [1, 5, 20])
def test_equal_to_torch_geometric(k):
    pyg = pytest.importorskip("torch_geometric.metrics")
    rng = np.random.default_rng(k)
    users, items = 60, 50
    truth = csr_matrix(rng.random((users, items)) < 0.1)
    users_with_truth = np.flatnonzero(np.diff(truth.indptr) > 0)
    item = np.stack([rng.permutation(items)[:20] for _ in users_with_truth])
    recommended = Recommendations(users_with_truth, item, np.zeros(item.shape, dtype=np.float32))
    ours = score(recommended, truth, ks=(k,)).mean() | {f"coverage@{k}": coverage(recommended, items, k)}
    label = torch.tensor(np.stack(truth[users_with_truth].nonzero()))
    theirs = {
        "recall": pyg.LinkPredRecall(k),
        "ndcg": pyg.LinkPredNDCG(k),
        "hr": pyg.LinkPredHitRatio(k),
        "mrr": pyg.LinkPredMRR(k),
        "precision": pyg.LinkPredPrecision(k),
        "coverage": pyg.LinkPredCoverage(k, num_dst_nodes=items),
    }
    for name, metric in theirs.items():
        metric.update(torch.tensor(item), label)
        assert ours[f"{name}@{k}"] == pytest.approx(float(metric.compute()), abs=1e-6), name
