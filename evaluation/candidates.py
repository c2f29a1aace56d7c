"""Ranking of given candidates, as papers on language models judge: one held-out item among few, figures labelled so.

Of several held-out items of a user the first in time is his truth, of those of one moment the first of the catalogue.
Every recommender orders the candidates through the one door that it has: all other items are masked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from evaluation.metrics import Float64, Scores
from evaluation.protocol import Exam, first_by_hash
from evaluation.ranking import Ranks, chunks, join, rank
from evaluation.recommendations import Recommendations
from features.corpus import Corpus
from schemas.errors import DataError
from schemas.records import sha256
from schemas.sections import Candidates

Int64 = NDArray[np.int64]
PLACES = 5  # groups of places
MASKED_AT_ONCE = 2**23  # entries of a mask: 40 MiB, and three times that for who scores all of them at once


@dataclass(frozen=True)
class CandidateExam:
    """Short lists of some users of an exam; where the truth stands in a list is drawn, so that places say nothing."""

    label: str  # says what the candidates are
    tag: str  # the same in a metric's name: +19, or top20
    user: Int64  # [B] row numbers of Corpus.users, ascending
    item: Int64  # [B, m] candidates, row numbers of Corpus.items; -1 pads
    truth: Int64  # [B] row numbers of Corpus.items
    ks: tuple[int, ...]

    @property
    def found(self) -> NDArray[np.bool_]:
        """Whose truth is among his candidates: [B]."""
        return np.asarray((self.item == self.truth[:, None]).any(axis=1))

    @property
    def place(self) -> Int64:
        """The column of the truth in every list, -1 where it is not there: [B]."""
        return np.where(self.found, (self.item == self.truth[:, None]).argmax(axis=1), -1).astype(np.int64)

    def score(self, ranked: Recommendations) -> Scores:
        """HR and NDCG at every k, and MRR, of all users; who has no truth among his candidates counts 0."""
        place = ranks(ranked, self.truth).astype(np.float64)  # [B], 0 where the truth was not ranked
        there, safe = place > 0, np.where(place > 0, place, 1.0)
        values: dict[str, Float64] = {}
        for k in self.ks:
            hit = there & (place <= k)
            values[f"hr@{k}({self.tag})"] = hit.astype(np.float64)
            values[f"ndcg@{k}({self.tag})"] = np.where(hit, 1.0 / np.log2(safe + 1), 0.0)
        return Scores(self.user, {**values, f"mrr({self.tag})": np.where(there, 1.0 / safe, 0.0)})

    def means(self, scores: Scores) -> dict[str, float]:
        """Means over all users, the share whose truth is there, and where that is not all, means over those alone."""
        found = self.found
        means = {**scores.mean(), f"retrieved({self.tag})": float(found.mean())}
        if found.all():
            return means
        alone = Scores(self.user[found], {name: values[found] for name, values in scores.values.items()}).mean()
        return {**means, **{f"{name[:-1]}, retrieved alone)": value for name, value in alone.items()}}


def candidate_exam(exam: Exam, corpus: Corpus, settings: Candidates, retriever: Ranks | None = None) -> CandidateExam:
    """Draw users and candidates by `settings`; `retriever` is the fitted model that it names.

    Negatives are uniform among the items that no part of the corpus knows of the user; there are fewer where the
    catalogue ends. Retrieved candidates are the first under the exam's mask, and the truth is never put among them.
    Raises DataError where the exam has nobody to judge.
    """
    users = first_by_hash(corpus, exam.users, settings.users or len(exam.users), f"{settings.seed} ")
    if not len(users):
        raise DataError(
            f"evaluation.candidates: expected users with both a train and a {exam.part} interaction, found none; "
            "change [split] so that the part is not empty"
        )
    truth = _first_held_out(exam, corpus)[users]
    if retriever is not None:
        found = rank(retriever, users, settings.top, exam.seen).item
        label, tag = f"top {settings.top} of {settings.retriever}, truth not inserted", f"top{settings.top}"
    else:
        found = _with_negatives(corpus, users, truth, settings)
        label, tag = f"1 truth + {settings.negatives} uniform negatives", f"+{settings.negatives}"
    return CandidateExam(label, tag, users, _shown(found, corpus, users, settings.seed), truth, settings.ks)


def rank_candidates(recommender: Ranks, exam: CandidateExam, shape: tuple[int, int]) -> Recommendations:
    """Every user's candidates in a recommender's order; `shape` is that of the corpus, [U, I].

    What a recommender leaves out is padded with -1. Memory is bounded whatever the number of users.
    """
    most, parts = exam.item.shape[1], []
    for rows in chunks(len(exam.user), max(1, MASKED_AT_ONCE // shape[1])):
        users = exam.user[rows]
        parts.append(recommender.recommend(users, most, _all_but(exam.item[rows], users, shape)))
    return join(parts, most)


def popularity_probe(ranked: Recommendations, exam: CandidateExam, degree: Int64) -> dict[str, float]:
    """Mean train interactions, `degree` [I], of what is ranked first and of all candidates: far apart is a bias."""
    first = ranked.item[:, 0]
    return {
        "first": float(degree[first[first >= 0]].mean()) if (first >= 0).any() else 0.0,
        "candidates": float(degree[exam.item[exam.item >= 0]].mean()),
    }


def place_probe(scores: Scores, exam: CandidateExam, shown: Int64) -> list[dict[str, Any]]:
    """MRR by the place at which the truth was shown, in at most five groups of places; level where places say nothing.

    `shown` [B, m]: the candidates in the order in which a recommender showed them to a model, -1 pads.
    """
    there = shown == exam.truth[:, None]  # [B, m]
    place = np.where(there.any(axis=1), there.argmax(axis=1), -1)
    found = list[dict[str, Any]]()
    for places in np.array_split(np.arange(shown.shape[1]), min(PLACES, shown.shape[1])):
        some = np.isin(place, places)
        if some.any():
            name = f"{places[0] + 1}\u2013{places[-1] + 1}" if len(places) > 1 else str(places[0] + 1)
            mean = float(scores.values[f"mrr({exam.tag})"][some].mean())
            found.append({"shown": name, "mrr": mean, "users": int(some.sum())})
    return found


def ranks(ranked: Recommendations, truth: Int64) -> Int64:
    """The rank of every user's truth [B], from 1, 0 where it was not ranked; equal scores count against it."""
    is_truth = ranked.item == truth[:, None]
    own = np.where(is_truth, ranked.score, -np.inf).max(axis=1, initial=-np.inf)
    above = ((ranked.score >= own[:, None]) & (ranked.item >= 0)).sum(axis=1)
    return np.where(is_truth.any(axis=1), above, 0).astype(np.int64)


def _first_held_out(exam: Exam, corpus: Corpus) -> Int64:
    """The row of every user's first held-out item in time that is truth of the exam: [U], -1 where there is none."""
    part = corpus.valid if exam.part == "valid" else corpus.test
    user, item = part.edges
    kept = np.flatnonzero(np.asarray(exam.truth[user, item]).ravel())
    order = kept[np.lexsort((item[kept], part.time[kept], user[kept]))]
    who, first = np.unique(user[order], return_index=True)
    found = np.full(part.num_users, -1, dtype=np.int64)
    found[who] = item[order][first]
    return found


def _with_negatives(corpus: Corpus, users: Int64, truth: Int64, settings: Candidates) -> Int64:
    """The truth and items drawn without replacement: [B, 1 + negatives]."""
    parts = [part.by_user[users] for part in (corpus.train, corpus.valid, corpus.test, corpus.reserved)]
    known = csr_matrix(sum(parts[1:], parts[0]))
    found = np.full((len(users), 1 + settings.negatives), -1, dtype=np.int64)
    found[:, 0] = truth
    for row, rng in enumerate(_generators(corpus, users, settings.seed, "negatives")):
        free = np.ones(corpus.num_items, dtype=bool)
        free[known.indices[known.indptr[row] : known.indptr[row + 1]]] = False
        left = np.flatnonzero(free)
        some = rng.choice(left, min(settings.negatives, len(left)), replace=False)
        found[row, 1 : 1 + len(some)] = some
    return found


def _shown(found: Int64, corpus: Corpus, users: Int64, seed: int) -> Int64:
    """Every list in an order of its own, padding last: [B, m]."""
    shown = np.full_like(found, -1)
    for row, rng in enumerate(_generators(corpus, users, seed, "order")):
        some = found[row][found[row] >= 0]
        shown[row, : len(some)] = rng.permutation(some)
    return shown


def _generators(corpus: Corpus, users: Int64, seed: int, purpose: str) -> list[np.random.Generator]:
    """One per user, whoever else is judged."""
    ids = corpus.ids("user").gather(users).to_list()
    return [np.random.default_rng(int(sha256(f"{seed} {purpose} {id}")[:16], 16)) for id in ids]


def _all_but(item: Int64, users: Int64, shape: tuple[int, int]) -> csr_matrix:
    """A mask of everything but the candidates [B, m] of ascending users: bool [U, I], rows sorted."""
    hidden = []
    for candidates in item:
        row = np.ones(shape[1], dtype=bool)
        row[candidates[candidates >= 0]] = False
        hidden.append(np.flatnonzero(row).astype(np.int32))
    entries = np.zeros(shape[0], dtype=np.int64)
    entries[users] = [len(row) for row in hidden]
    indices, indptr = np.concatenate(hidden), np.concatenate([[0], np.cumsum(entries)])
    return csr_matrix((np.ones(len(indices), dtype=bool), indices, indptr), shape=shape)
