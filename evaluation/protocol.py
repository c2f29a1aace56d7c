"""Who is judged on what: valid masks train; test masks train and valid; every item of the catalogue is a candidate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from torch import Tensor

from evaluation.metrics import score
from evaluation.ranking import rank_vectors
from features.corpus import Corpus, Part
from schemas.errors import DataError

Judge = Callable[[Tensor, Tensor], dict[str, float]]


@dataclass(frozen=True)
class Exam:
    """One held-out part and what may be recommended for it."""

    part: Literal["valid", "test"]
    train: Part
    truth: csr_matrix  # bool [U, I] held-out interactions that are not in `seen`
    seen: csr_matrix  # bool [U, I] masked
    repeats: int  # held-out interactions with an item the user already had; nobody can recommend those

    @cached_property
    def users(self) -> NDArray[np.int64]:
        """Who is judged: row numbers of users with truth and at least one train interaction, ascending."""
        return np.flatnonzero((np.diff(self.truth.indptr) > 0) & (self.train.user_degree > 0)).astype(np.int64)

    @cached_property
    def new_users(self) -> NDArray[np.int64]:
        """Users with truth of whom train has nothing: judged apart from the others, never in the overall figures."""
        return np.flatnonzero((np.diff(self.truth.indptr) > 0) & (self.train.user_degree == 0)).astype(np.int64)


def validation(corpus: Corpus) -> Exam:
    """Make the exam that models are chosen on: truth is valid, train is masked, and so is what is reserved."""
    return _exam("valid", corpus.train, corpus.valid.by_user, corpus.train.by_user + corpus.reserved.by_user)


def testing(corpus: Corpus) -> Exam:
    """Make the exam that is reported: truth is test, train and valid are masked, and so is what is reserved."""
    seen = corpus.train.by_user + corpus.valid.by_user + corpus.reserved.by_user
    return _exam("test", corpus.train, corpus.test.by_user, seen)


def vector_judge(exam: Exam, ks: Sequence[int]) -> Judge:
    """Make a judge of node vectors (user [U, d], item [I, d], inner product): means of every metric at every k.

    Raises DataError where the exam has nobody to judge.
    """
    if not len(exam.users):
        raise DataError(
            f"{exam.part}: expected users with both a train and a {exam.part} interaction, found none;"
            " change [split] so that the part is not empty"
        )

    def judge(user: Tensor, item: Tensor) -> dict[str, float]:
        recommended = rank_vectors(user, item, exam.users, max(ks), exam.seen)
        return score(recommended, exam.truth, ks).mean()

    return judge


def _exam(part: Literal["valid", "test"], train: Part, held: csr_matrix, seen: csr_matrix) -> Exam:
    repeated = csr_matrix(held.multiply(seen))
    truth = csr_matrix(held > repeated)  # held-out and not seen
    seen = csr_matrix(seen)
    truth.sort_indices()
    seen.sort_indices()
    return Exam(part, train, truth, seen, int(repeated.nnz))
