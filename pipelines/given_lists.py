"""Short lists that every model of a night orders at test, and what language models say of the questions they asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from evaluation.candidates import CandidateExam, Int64, place_probe, popularity_probe, rank_candidates
from evaluation.metrics import Scores
from recommenders.base import Recommender
from recommenders.prompted.llm_listwise import LLMListwise
from recommenders.prompted.llmrank import LLMRank

LISTWISE = (LLMRank, LLMListwise)  # that show a model all candidates at once, in an order drawn per user
PHASES = ("valid", "test", "candidates")  # what a model was ranking when it said something of itself


@dataclass
class GivenLists:
    """The exam and what the models made of it so far."""

    exam: CandidateExam
    degree: Int64  # [I] train interactions
    num_users: int
    scores: dict[str, list[Scores]] = field(default_factory=dict)  # by model, one per seed
    results: list[dict[str, Any]] = field(default_factory=list)

    def judge(self, name: str, seed: int, recommender: Recommender) -> dict[str, Any]:
        """Let one model order the lists, once; returns what it said of itself meanwhile."""
        ranked = rank_candidates(recommender, self.exam, (self.num_users, len(self.degree)))
        scores = self.exam.score(ranked)
        self.scores.setdefault(name, []).append(scores)
        popularity = popularity_probe(ranked, self.exam, self.degree)
        about = {"name": name, "seed": seed, "metrics": self.exam.means(scores), "popularity": popularity}
        if isinstance(recommender, LISTWISE):
            about["places"] = place_probe(scores, self.exam, _as_shown(recommender, self.exam))
        self.results.append(about)
        return take_told(recommender)

    def rows(self) -> pl.DataFrame:
        """The figures as rows of the table `metrics`: a slice of test that is named after the protocol."""
        found = int(self.exam.found.sum())
        rows = [
            (each["name"], each["seed"], "test", self.exam.label, metric, value, found if ", " in metric else None)
            for each in self.results
            for metric, value in each["metrics"].items()
        ]
        texts = dict.fromkeys(("part", "slice", "metric"), pl.String)
        schema = {"model": pl.String, "seed": pl.Int32, **texts, "value": pl.Float64, "users": pl.Int64}
        frame = pl.DataFrame(rows, schema=schema, orient="row")
        return frame.with_columns(pl.col("users").fill_null(len(self.exam.user)))

    def record(self) -> dict[str, Any]:
        """What the step reports of the lists."""
        exam = self.exam
        counts = {"users": len(exam.user), "retrieved": float(exam.found.mean()), "length": exam.item.shape[1]}
        return {"label": exam.label, "tag": exam.tag, "ks": list(exam.ks), **counts, "results": self.results}


def _as_shown(recommender: LLMRank | LLMListwise, exam: CandidateExam) -> Int64:
    """Every list in the order in which a model saw it in the first question: [B, m], -1 where it was not shown."""
    shown = np.full_like(exam.item, -1)
    for row, user in enumerate(exam.user.tolist()):
        items = exam.item[row][exam.item[row] >= 0]
        if len(items) <= recommender.candidates:
            shown[row, : len(items)] = items[recommender.order(user, items, 0)]
    return shown


def take_told(recommender: Recommender) -> dict[str, Any]:
    """What a recommender has written into its `told` since it was last taken; empty of those that ask nobody."""
    told = getattr(recommender, "told", None)
    if told is None:
        return {}
    taken = dict(told)
    told.clear()
    return taken
