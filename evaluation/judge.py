"""The one judge: ranks for an exam and says everything that the report shows of one model and one seed."""

from __future__ import annotations

from dataclasses import dataclass

from evaluation.metrics import Scores, coverage, score
from evaluation.protocol import Exam
from evaluation.ranking import Ranks, rank
from evaluation.recommendations import Recommendations
from evaluation.slices import score_new, score_slices
from schemas.sections import Evaluation

SLICE_KS = (20,)


@dataclass(frozen=True)
class Verdict:
    """What one recommender is worth on one exam."""

    recommended: Recommendations  # of exam.users, max(ks) columns
    scores: Scores
    coverage: dict[str, float]  # coverage@k -> share of the catalogue
    slices: dict[str, Scores]  # slice -> scores of its users

    def means(self) -> dict[str, float]:
        """Metric -> mean over users, and coverage@k."""
        return {**self.scores.mean(), **self.coverage}

    def slice_means(self) -> dict[str, dict[str, float]]:
        """Slice -> metric -> mean, and `users`, how many counted; a slice without users has only that."""
        return {
            name: {**(each.mean() if len(each.user) else {}), "users": float(len(each.user))}
            for name, each in self.slices.items()
        }


def examine(recommender: Ranks, exam: Exam, settings: Evaluation) -> Verdict:
    """Full ranking of the exam's users over the whole catalogue, judged overall and by slice."""
    k = max(*settings.ks, *SLICE_KS)
    recommended = rank(recommender, exam.users, k, exam.seen)
    return Verdict(
        recommended,
        score(recommended, exam.truth, settings.ks, exam.ideal),
        {f"coverage@{k}": coverage(recommended, exam.truth.shape[1], k) for k in settings.ks},
        {
            **score_slices(recommended, exam, settings.cold, settings.head, SLICE_KS),
            **score_new(recommender, exam, SLICE_KS),
        },
    )
