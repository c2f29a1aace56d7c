"""The live model against tonight's on tonight's validation users: per-user metric, difference, interval.

The live model is judged as it serves: its own weights, on its own night's index, with the ids of tonight's users and
items carried over. Where it knows what tonight holds out, or is not there any more, the model of the same name that was
fitted tonight stands for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from evaluation.intervals import Interval, compare
from evaluation.metrics import Scores, score
from evaluation.protocol import validation
from evaluation.ranking import chunks, entries, join, rank
from evaluation.recommendations import Recommendations
from features.corpus import Corpus
from features.feature_store import Snapshot
from features.releases import Release
from pipelines.fitted import Fitted, kept_fitted, read_fitted, valid_scores
from pipelines.night import Night
from pipelines.predecessor import why_held_out
from recommenders import load_recommender
from recommenders.base import Recommender
from recommenders.prompted.base import Prompted
from recommenders.reranking import Reranker
from schemas.errors import LoregraphError, StoreError

Int64 = NDArray[np.int64]
MASKED_AT_ONCE = 2**22  # entries of items that are gone, in the mask of a block of users


@dataclass(frozen=True)
class Judged:
    """What the comparison came to; `interval` is of challenger minus champion, None where nothing could be compared."""

    against: str  # who stood for the live model, in words
    interval: Interval | None
    why: str | None = None  # why the live weights were not judged


class Carried:
    """A model of an earlier night, asked about tonight's users and items by their ids."""

    def __init__(self, earlier: Recommender, old: tuple[pl.Series, pl.Series], corpus: Corpus) -> None:
        self.earlier, self.items = earlier, corpus.num_items
        self.old_users, self.old_items = len(old[0]), len(old[1])
        self.user = places(corpus.ids("user"), old[0])  # [U] tonight's row -> its row then, -1 for new ones
        self.item = places(corpus.ids("item"), old[1])  # [I]
        self.back = places(old[1], corpus.ids("item"))  # [I then] -> tonight's row, -1 for what is gone

    def recommend(self, users: Int64, k: int, seen: csr_matrix | None = None) -> Recommendations:
        """Rank what both nights have, under tonight's mask. Raises StoreError for a user that the model cannot know."""
        assert seen is not None, "the judge masks"
        if (self.user[users] < 0).any():
            raise StoreError("champion: asked about a user that its night did not have")
        gone = np.flatnonzero(self.back < 0)
        size = max(1, MASKED_AT_ONCE // max(1, len(gone)))
        return join([self._some(users[rows], k, seen, gone) for rows in chunks(len(users), size)], k)

    def _some(self, users: Int64, k: int, seen: csr_matrix, gone: Int64) -> Recommendations:
        found = self.earlier.recommend(self.user[users], k, self._mask(users, seen, gone))
        item = np.where(found.item >= 0, self.back[found.item], -1)
        return Recommendations(users, item, found.score)

    def _mask(self, users: Int64, seen: csr_matrix, gone: Int64) -> csr_matrix:
        """Tonight's mask of some users on the index of then, and everything that is gone: bool [U then, I then]."""
        row, column = entries(seen, users)
        kept = self.item[column] >= 0
        rows = np.concatenate([self.user[users][row[kept]], np.repeat(self.user[users], len(gone))])
        columns = np.concatenate([self.item[column[kept]], np.tile(gone, len(users))])
        mask = csr_matrix((np.ones(len(rows), dtype=bool), (rows, columns)), shape=(self.old_users, self.old_items))
        mask.sum_duplicates()
        return mask


def places(ids: pl.Series, index: pl.Series) -> Int64:
    """Where each id stands in an index, -1 where it does not: [N]."""
    numbered = pl.DataFrame({"id": index}).with_row_index("row")
    found = pl.DataFrame({"id": ids}).join(numbered, on="id", how="left", maintain_order="left")["row"]
    return found.cast(pl.Int64).fill_null(-1).to_numpy()


def judge(night: Night, corpus: Corpus, challenger: Fitted, live: Release) -> Judged:
    """Compare tonight's choice with the live model. Raises StoreError where tonight's validation was not kept."""
    metric, mine = night.run.evaluation.selection, valid_scores(night, challenger, corpus)
    name = f"{live.model} of {live.ds}"
    try:
        other = _carried(night, corpus, live, mine, metric)
        return Judged(f"{name}, as it serves", _interval(night, mine, other))
    except LoregraphError as error:
        why = str(error)
    stand_in = _refitted(night, corpus, live)
    if stand_in is None:
        return Judged(f"{name}, which is not to be compared", None, f"{why}; tonight has no model of that name")
    about = f"{live.model}, fitted tonight, in place of that of {live.ds}"
    if stand_in.folder == challenger.folder:
        return Judged(f"{about}: the very model", None, why)
    return Judged(about, _interval(night, mine, valid_scores(night, stand_in, corpus)), why)


def _carried(night: Night, corpus: Corpus, live: Release, mine: Scores, metric: str) -> Scores:
    """The live model's scores of those of tonight's validation users that its night had.

    Raises an error of ours that says why it cannot be judged.
    """
    assert live.folder is not None, "a live model has a folder"
    folder = night.work / live.folder
    _refuse_known(night, corpus, live, kept_fitted(night, live.folder))
    earlier = load_recommender(folder).for_validation()
    if _asks(earlier):
        raise StoreError(f"{live.model} asks a language model, which would be paid once more")
    snapshot = Snapshot(night.store, live)
    old = (snapshot.read("users", ["id"])["id"].sort(), snapshot.read("items", ["id"])["id"].sort())
    carried = Carried(earlier, old, corpus)
    known = mine.user[carried.user[mine.user] >= 0]
    if not len(known):
        raise StoreError(f"none of tonight's validation users was there on {live.ds}")
    settings = night.run.evaluation
    exam = validation(corpus, settings.protocol, settings.users)
    k = int(metric.split("@")[1])
    return score(rank(carried, known, k, exam.seen), exam.truth, (k,))


def _refuse_known(night: Night, corpus: Corpus, live: Release, fitted: Fitted) -> None:
    """Raise StoreError where the live model knows what tonight holds out."""
    store: Any = night.store  # can be hashed, which the protocol does not say
    why = why_held_out(store, live.ds, fitted.split_id, night.ds, corpus.split_id)
    if why is not None:
        raise StoreError(why)
    if fitted.knows_valid:
        raise StoreError(f"the model of {live.ds} may have learned from validation (training.refit)")


def _asks(recommender: Recommender) -> bool:
    if isinstance(recommender, Prompted):
        return True
    return isinstance(recommender, Reranker) and recommender.retriever is not None and _asks(recommender.retriever)


def _refitted(night: Night, corpus: Corpus, live: Release) -> Fitted | None:
    """The model of the live one's name that was fitted tonight, of its seed or else the best."""
    model = next((each for each in night.run.models if each.name == live.model), None)
    if model is None:
        return None
    seeds = [live.seed] if live.seed in night.run.seeds else night.run.seeds
    fitted = [read_fitted(night, model, seed, corpus) for seed in seeds if seed is not None]
    return max(fitted, key=lambda each: each.valid[night.run.evaluation.selection])


def _interval(night: Night, mine: Scores, other: Scores) -> Interval:
    """Challenger minus champion over the users that both were judged on."""
    metric, settings = night.run.evaluation.selection, night.run
    _, left, right = np.intersect1d(mine.user, other.user, return_indices=True)
    one, two = (Scores(each.user[rows], {metric: each.values[metric][rows]}) for each, rows in
                ((mine, left), (other, right)))  # fmt: skip
    resamples, confidence = settings.evaluation.bootstrap, settings.promotion.confidence
    return compare(one, two, resamples, confidence=confidence)[metric]
