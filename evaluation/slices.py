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
from evaluation.ranking import Ranks, rank, rank_among
from evaluation.recommendations import Recommendations
from features.corpus import Part

Bool = NDArray[np.bool_]


def item_slices(train: Part, cold: int, head: float) -> dict[str, Bool]:
    """Which items are cold (at most `cold` train interactions) or warm, head (most popular share) or tail, new: [I].

    New items have no train interaction at all; they are cold and tail as well.
    """
    degree = train.item_degree
    by_popularity = np.lexsort((np.arange(len(degree)), -degree))
    popular = np.zeros(len(degree), dtype=bool)
    popular[by_popularity[: int(np.ceil(head * len(degree)))]] = True
    slices = {"cold items": degree <= cold, "warm items": degree > cold, "tail items": ~popular, "head items": popular}
    return {**slices, "new items": degree == 0}


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


def score_new(recommender: Ranks, exam: Exam, ks: Sequence[int] = (20,)) -> dict[str, Scores]:
    """Scores of users that train knows nothing of, and of new items when they are ranked among themselves.

    Nothing is in it where there are none: a split holds users and items out by `cold_users` and `cold_items`.
    """
    scores, new = dict[str, Scores](), exam.train.item_degree == 0
    if len(exam.new_users):
        scores["new users"] = score(rank(recommender, exam.new_users, max(ks), exam.seen), exam.truth, ks)
    truth = _inside(exam.truth, new)
    users = exam.users[np.diff(truth.indptr)[exam.users] > 0]
    if len(users):
        scores["new items among themselves"] = score(rank_among(recommender, users, max(ks), exam.seen, new), truth, ks)
    return scores


def score_items(recommended: Recommendations, truth: csr_matrix, inside: Bool, ks: Sequence[int]) -> Scores:
    """Scores against the truth inside an item slice [I], of the users who have such truth."""
    restricted = _inside(truth, inside)
    return score(_of(recommended, np.diff(restricted.indptr)[recommended.user] > 0), restricted, ks)


def _inside(truth: csr_matrix, inside: Bool) -> csr_matrix:
    """The truth inside an item slice [I]."""
    restricted = csr_matrix(truth.astype(np.float32) @ diags(inside.astype(np.float32)))
    restricted.eliminate_zeros()
    return restricted


def _of(recommended: Recommendations, rows: Bool) -> Recommendations:
    return Recommendations(recommended.user[rows], recommended.item[rows], recommended.score[rows])
