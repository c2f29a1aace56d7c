"""Candidates for a language model to choose from: what a base model that knows train alone ranks first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from evaluation.ranking import chunks
from features.corpus import Corpus
from features.table import FeatureSet
from recommenders.base import Recommender
from recommenders.popularity import Popularity
from recommenders.pure_svd import PureSVD
from schemas.errors import ConfigError, unknown_name

BASES: dict[str, type[Recommender]] = {Popularity.name: Popularity, PureSVD.name: PureSVD}
USERS_AT_ONCE = 4096
LOOKED_AT = 3  # times k: so far ties are looked at


def check_base(name: str, where: str) -> None:
    """Raises ConfigError where a base model is none: one that chooses an epoch on validation has seen held-out rows."""
    if name not in BASES:
        raise ConfigError(unknown_name(f"{where}: recommender without training", name, BASES))


def candidates(corpus: Corpus, base: str, k: int) -> Iterator[list[int]]:
    """Item rows of the `k` best items of every user, in index order, train items left out; fewer where there are fewer.

    The base model is fitted on a corpus that has no held-out interaction at all. Of items that it scores alike the
    first in order is taken, so that rounding, which differs by machine, changes next to no prompt.
    """
    train = _train_only(corpus)
    recommender = BASES[base]()
    recommender.fit(train, FeatureSet())
    for rows in chunks(corpus.num_users, USERS_AT_ONCE):
        users = np.arange(corpus.num_users)[rows]
        found = recommender.recommend(users, LOOKED_AT * k, train.train.by_user)
        for items, scores in zip(found.item, found.score, strict=True):
            yield _first(items[items >= 0], scores[items >= 0], k)


def _first(items: NDArray[np.int64], scores: NDArray[np.float32], k: int) -> list[int]:
    """The k best [n], scores compared to four digits of the best one."""
    alike = np.round(scores / max(np.abs(scores).max(initial=0.0), 1e-12), 4)
    return [int(item) for item in items[np.lexsort((items, -alike))[:k]]]


def _train_only(corpus: Corpus) -> Corpus:
    rows = np.flatnonzero(corpus.part == 0)
    return replace(
        corpus,
        edges=corpus.edges[:, rows],
        time=corpus.time[rows],
        weight=corpus.weight[rows],
        part=corpus.part[rows],
        review=None,
        rating=None,
    )
