"""Who is judged on what: what each protocol masks and what its NDCG divides by; the whole catalogue is ranked.

Ours masks train at valid, and train and valid at test. The others emulate the published code of a paper, and every
report says so. What is emulated is the judging alone: models are chosen on validation under every protocol, and test is
looked at once, though the code of LLMRec and AlphaRec stops on test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags
from torch import Tensor

from evaluation.metrics import Ideal, score
from evaluation.ranking import rank_vectors
from features.corpus import Corpus, Part
from schemas.errors import DataError
from schemas.records import sha256
from schemas.sections import Evaluation
from schemas.sections import Protocol as Name

Judge = Callable[[Tensor, Tensor], dict[str, float]]
Held = Literal["valid", "test"]
Masked = Literal["train", "valid", "test"]


@dataclass(frozen=True)
class Protocol:
    """How the held-out parts are judged. Reserved interactions are masked under all of them."""

    paper: str
    masks: Mapping[Held, tuple[Masked, ...]]  # judged part -> parts that are no candidates
    ideal: Ideal = "truth"  # retrieved: there is an `ndcg_retrieved_ideal` beside `ndcg`
    keeps_truth: bool = False  # what is both truth and masked stays a candidate; else it is no truth
    notes: tuple[str, ...] = ()  # what a reader of its figures has to know

    @property
    def label(self) -> str | None:
        """One line for every report; None for ours."""
        return f"judged as in {'; '.join((self.paper, *self.notes))}" if self.notes else None

    @property
    def says(self) -> str:
        """What is masked, in words."""
        masks = (f"{part} masks {' and '.join(masked)}" for part, masked in self.masks.items())
        return f"{'; '.join(masks)}; the whole catalogue is ranked"


_TRAIN_ALONE: Mapping[Held, tuple[Masked, ...]] = {"valid": ("train",), "test": ("train",)}
_STAY = "valid items stay candidates at test"
PROTOCOLS: Mapping[Name, Protocol] = {
    "loregraph": Protocol("Loregraph", {"valid": ("train",), "test": ("train", "valid")}),
    "lightgcn": Protocol("LightGCN (arXiv 2002.02126)", _TRAIN_ALONE, notes=(_STAY,)),
    "rlmrec": Protocol("RLMRec (arXiv 2310.15950)", _TRAIN_ALONE, notes=(_STAY,)),
    "llmrec": Protocol(
        "LLMRec (arXiv 2311.00423)",
        _TRAIN_ALONE,
        ideal="retrieved",
        notes=(_STAY, "its own NDCG, whose ideal is the list that was retrieved, is ndcg_retrieved_ideal"),
    ),
    "alpharec": Protocol(
        "AlphaRec (arXiv 2407.05441)",
        {"valid": ("train", "test"), "test": ("train", "valid")},
        keeps_truth=True,
        notes=("test items are masked at validation, so that what models are chosen by knows of test: a leak",),
    ),
}


@dataclass(frozen=True)
class Exam:
    """One held-out part and what may be recommended for it."""

    part: Held
    train: Part
    truth: csr_matrix  # bool [U, I] held-out interactions that are not in `seen`
    seen: csr_matrix  # bool [U, I] masked
    repeats: int  # held-out interactions with an item the user already had; nobody can recommend those
    ideal: Ideal = "truth"
    drawn_from: int = 0  # users that there were before some were drawn; 0: nobody was left out

    @cached_property
    def users(self) -> NDArray[np.int64]:
        """Who is judged: row numbers of users with truth and at least one train interaction, ascending."""
        return np.flatnonzero((np.diff(self.truth.indptr) > 0) & (self.train.user_degree > 0)).astype(np.int64)

    @cached_property
    def new_users(self) -> NDArray[np.int64]:
        """Users with truth of whom train has nothing: judged apart from the others, never in the overall figures."""
        return np.flatnonzero((np.diff(self.truth.indptr) > 0) & (self.train.user_degree == 0)).astype(np.int64)


def validation(corpus: Corpus, protocol: Name = "loregraph", users: int = 0) -> Exam:
    """Make the exam that models are chosen on: truth is valid; what the protocol says is masked, and the reserved.

    Of so many users at most, as `drawn` has it; 0 is everybody.
    """
    return drawn(_exam("valid", corpus, PROTOCOLS[protocol]), corpus, users)


def testing(corpus: Corpus, protocol: Name = "loregraph", users: int = 0) -> Exam:  # noqa: PT028 - no test
    """Make the exam that is reported: truth is test; what the protocol says is masked, and the reserved.

    Of so many users at most, as `drawn` has it; 0 is everybody. Raises DataError where valid and test are the same
    interactions (as in LLMRec's code): then validation is test.
    """
    valid, test = corpus.valid.by_user, corpus.test.by_user
    if test.nnz and valid.nnz == test.nnz and not (valid != test).nnz:
        raise DataError(
            f"splits: valid and test are the same {test.nnz} interactions, so models would be chosen on test; "
            "expected two parts; change [split]"
        )
    return drawn(_exam("test", corpus, PROTOCOLS[protocol]), corpus, users)


def drawn(exam: Exam, corpus: Corpus, users: int) -> Exam:
    """The exam of at most so many users with train, and so many without: those with the lowest hashes of their ids.

    A user's place in the draw is the same in every part and on every night. 0 leaves nobody out.
    """
    if not users or max(len(exam.users), len(exam.new_users)) <= users:
        return exam
    chosen = [first_by_hash(corpus, group, users) for group in (exam.users, exam.new_users)]
    return replace(among(exam, np.concatenate(chosen)), drawn_from=len(exam.users))


def first_by_hash(corpus: Corpus, users: NDArray[np.int64], most: int, salt: str = "") -> NDArray[np.int64]:
    """At most so many of some users [B], those with the lowest hashes of salt and id: row numbers, ascending."""
    ids = corpus.ids("user").gather(users).to_list()
    return np.sort(users[np.argsort([sha256(salt + id) for id in ids], kind="stable")[:most]])


def among(exam: Exam, users: NDArray[np.int64]) -> Exam:
    """The exam of some of its users: the others have no truth."""
    inside = np.zeros(exam.truth.shape[0], dtype=np.float32)
    inside[users] = 1.0
    truth = (diags(inside) @ exam.truth.astype(np.float32)).tocsr()
    truth.eliminate_zeros()
    return replace(exam, truth=truth.astype(bool))


def label_of(settings: Evaluation) -> str | None:
    """What a reader of the figures has to know, in a line: whose protocol, and how many users; None for ours with all.

    It stands in every report and comparison.
    """
    sample = f"judged on at most {settings.users:,} users, drawn by their ids" if settings.users else None
    return "; ".join(said for said in (PROTOCOLS[settings.protocol].label, sample) if said) or None


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


def _exam(part: Held, corpus: Corpus, protocol: Protocol) -> Exam:
    parts = {"train": corpus.train.by_user, "valid": corpus.valid.by_user, "test": corpus.test.by_user}
    held, seen = parts[part], corpus.reserved.by_user
    for masked in protocol.masks[part]:
        seen = seen + parts[masked]
    repeated = csr_matrix(held.multiply(seen))
    if protocol.keeps_truth:
        seen, repeated = csr_matrix(seen > repeated), csr_matrix(held.shape, dtype=bool)
    truth = csr_matrix(held > repeated)  # held-out and not seen
    seen = csr_matrix(seen)
    truth.sort_indices()
    seen.sort_indices()
    return Exam(part, corpus.train, truth, seen, int(repeated.nnz), protocol.ideal)
