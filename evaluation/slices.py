"""The same ranking, judged on parts of the catalogue and of the users: where text should help, and where it should not.

An item slice keeps the whole ranking and restricts the truth to the slice's items; only users with such truth count.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags

from evaluation.metrics import Scores, score
from evaluation.protocol import Exam
from evaluation.recommendations import Recommendations
from features.corpus import Part

Bool = NDArray[np.bool_]


def item_slices(train: Part, cold: int, head: float) -> dict[str, Bool]:
    """Which items are cold (at most `cold` train interactions) or warm, and head (most popular share) or tail: [I]."""
    degree = train.item_degree
    by_popularity = np.lexsort((np.arange(len(degree)), -degree))
    popular = np.zeros(len(degree), dtype=bool)
    popular[by_popularity[: int(np.ceil(head * len(degree)))]] = True
    return {"cold items": degree <= cold, "warm items": degree > cold, "tail items": ~popular, "head items": popular}


def user_slices(exam: Exam) -> dict[str, Bool]:
    """Which judged users have few train interactions (at most the median of the judged) or many: [len(exam.users)]."""
    degree = exam.train.user_degree[exam.users]
    few = degree <= (np.median(degree) if len(degree) else 0)
    return {"few interactions": few, "many interactions": ~few}


def score_slices(
    recommended: Recommendations, exam: Exam, cold: int, head: float, ks: Sequence[int] = (20,)
) -> dict[str, Scores]:
    """Scores of every item slice and every user slice; `recommended` is of `exam.users`, in that order."""
    items = item_slices(exam.train, cold, head)
    scores = {name: score_items(recommended, exam.truth, inside, ks) for name, inside in items.items()}
    for name, inside in user_slices(exam).items():
        scores[name] = score(_of(recommended, inside), exam.truth, ks)
    return scores


def score_items(recommended: Recommendations, truth: csr_matrix, inside: Bool, ks: Sequence[int]) -> Scores:
    """Scores against the truth inside an item slice [I], of the users who have such truth."""
    restricted = csr_matrix(truth.astype(np.float32) @ diags(inside.astype(np.float32)))
    restricted.eliminate_zeros()
    return score(_of(recommended, np.diff(restricted.indptr)[recommended.user] > 0), restricted, ks)


def _of(recommended: Recommendations, rows: Bool) -> Recommendations:
    return Recommendations(recommended.user[rows], recommended.item[rows], recommended.score[rows])
