"""Full-ranking metrics per user, as LightGCN and RLMRec define them (arXiv 2002.02126, arXiv 2310.15950).

recall@k     hits among the first k / |truth|; the denominator is |truth|, not min(k, |truth|)
ndcg@k       sum over hit ranks r of 1 / log2(r + 1), over the same sum for the first min(k, |truth|) ranks
hr@k         1 where any of the first k hits
mrr@k        1 / rank of the first hit, 0 where none of the first k hits
precision@k  hits among the first k / k

ndcg_retrieved_ideal@k divides by the sum that the hits of the whole list (all columns) would have at its top, as the
code of LLMRec does (arXiv 2311.00423): one hit at rank 1 is 1.0 however much was missed. It is there where asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from evaluation.recommendations import Recommendations
from schemas.errors import DataError

Float64 = NDArray[np.float64]
Ideal = Literal["truth", "retrieved"]
RETRIEVED_IDEAL = "ndcg_retrieved_ideal"


@dataclass(frozen=True)
class Scores:
    """One number per user and metric."""

    user: NDArray[np.int64]  # [B] row numbers of Corpus.users
    values: dict[str, Float64]  # metric such as recall@20 -> [B]

    def mean(self) -> dict[str, float]:
        """Average every metric over users; NaN where there are no users."""
        return {name: float(values.mean()) if len(values) else float("nan") for name, values in self.values.items()}


def score(recommended: Recommendations, truth: csr_matrix, ks: Sequence[int], ideal: Ideal = "truth") -> Scores:
    """Every metric at every k; with the ideal `retrieved` that of LLMRec beside them.

    `truth`: [U, I], what each user did in the judged part. Raises DataError where a user has no truth or fewer than
    max(ks) columns were recommended.
    """
    if recommended.item.shape[1] < max(ks):
        raise DataError(f"recommendations: expected at least {max(ks)} columns, found {recommended.item.shape[1]}")
    hit = hits(recommended, truth)
    size = np.diff(truth.indptr)[recommended.user].astype(np.float64)
    if not size.all():
        raise DataError(f"truth: user row {recommended.user[size == 0][0]}: expected at least one item, found none")
    values = {f"{name}@{k}": metric(hit[:, :k], size) for k in ks for name, metric in METRICS.items()}
    if ideal == "retrieved":
        values |= {f"{RETRIEVED_IDEAL}@{k}": _ndcg(hit[:, :k], hit.sum(axis=1)) for k in ks}
    return Scores(recommended.user, values)


def hits(recommended: Recommendations, truth: csr_matrix) -> NDArray[np.bool_]:
    """Whether each recommended item is in its user's truth: [B, k]. Padding never is."""
    truth = truth.tocsr()
    rows = np.repeat(np.arange(truth.shape[0], dtype=np.int64), np.diff(truth.indptr))
    known = np.unique(rows * truth.shape[1] + truth.indices)  # one sorted key per (user, item)
    keys = recommended.user[:, None] * truth.shape[1] + recommended.item
    place = np.minimum(np.searchsorted(known, keys), max(len(known) - 1, 0))
    found = known[place] == keys if len(known) else np.zeros(keys.shape, dtype=bool)
    return np.asarray(found & (recommended.item >= 0))


def coverage(recommended: Recommendations, num_items: int, k: int) -> float:
    """Share of the catalogue that is among the first k of at least one user."""
    items = np.unique(recommended.item[:, :k])
    return float((items >= 0).sum() / num_items)


def _recall(hit: NDArray[np.bool_], size: Float64) -> Float64:
    return np.asarray(hit.sum(axis=1) / size)


def _ndcg(hit: NDArray[np.bool_], size: Float64) -> Float64:
    k = hit.shape[1]
    discount = 1.0 / np.log2(np.arange(2, k + 2))  # [k]
    ideal = np.cumsum(discount)  # [k] the best sum for 1..k true items
    most = np.minimum(size.astype(np.int64), k)
    return np.asarray((hit @ discount) / np.where(most > 0, ideal[most - 1], 1.0))  # without hits 0, not 0 / 0


def _hit_rate(hit: NDArray[np.bool_], _: Float64) -> Float64:
    return np.asarray(hit.any(axis=1), dtype=np.float64)


def _mrr(hit: NDArray[np.bool_], _: Float64) -> Float64:
    return np.asarray(np.where(hit.any(axis=1), 1.0 / (hit.argmax(axis=1) + 1), 0.0))


def _precision(hit: NDArray[np.bool_], _: Float64) -> Float64:
    return np.asarray(hit.mean(axis=1))


METRICS: dict[str, Callable[[NDArray[np.bool_], Float64], Float64]] = {
    "recall": _recall,
    "ndcg": _ndcg,
    "hr": _hit_rate,
    "mrr": _mrr,
    "precision": _precision,
}
