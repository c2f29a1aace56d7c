"""How an epoch is compared with others: the metrics of a recommender on validation, as it is in that moment."""

from __future__ import annotations

import numpy as np

from evaluation.metrics import score
from evaluation.protocol import Exam
from evaluation.ranking import Ranks, rank
from schemas.sections import Evaluation


def validation_metrics(
    recommender: Ranks, exam: Exam, evaluation: Evaluation, users: int = 0, seed: int = 0
) -> dict[str, float]:
    """Means over all users of the exam, or over so many that the seed draws; the metric that selects is among them."""
    ks = sorted({*evaluation.ks, int(evaluation.selection.split("@")[1])})
    judged = exam.users
    if 0 < users < len(judged):
        judged = np.sort(np.random.default_rng(seed).choice(judged, users, replace=False))
    return score(rank(recommender, judged, max(ks), exam.seen), exam.truth, ks).mean()
