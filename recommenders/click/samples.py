"""Click samples of a corpus that was split `oldest`: a user, an item, the events before it, and whether it was clicked.

KAR (arXiv 2306.10933) shows a language model the oldest events of every user and lets click models learn from what
comes after: here the reserved events of most users. Those of the other users are for validation and test.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from features.corpus import PARTS, RESERVED, Corpus
from schemas.errors import ConfigError
from schemas.records import canonical, sha256
from schemas.sections import Click

Int64 = NDArray[np.int64]
NOTHING = -1  # in place of an event before a user's first one


@dataclass(frozen=True)
class Samples:
    """The samples of one part, in order of user and event."""

    user: Int64  # [n] user row
    item: Int64  # [n] item row
    history: Int64  # [n, H] item rows of the user's last events before the sample, newest last, -1 where there is none
    rating: Int64  # [n, H] rating ids of these, 0 where there is no rating
    label: NDArray[np.float32]  # [n] 1 clicked, 0 not

    def __len__(self) -> int:
        return len(self.user)

    def take(self, rows: Int64) -> Samples:
        """The samples of some rows."""
        return Samples(self.user[rows], self.item[rows], self.history[rows], self.rating[rows], self.label[rows])


@dataclass(frozen=True)
class ClickData:
    """What click models learn (`train`), are chosen on (`valid`) and judged on (`test`)."""

    train: Samples
    valid: Samples
    test: Samples
    ratings: int  # rating ids, 0 included

    def fingerprint(self) -> str:
        """A hash of what a model learns from and is chosen on; test has no part in it."""
        arrays = [array for part in (self.train, self.valid) for array in vars(part).values()]
        return sha256(canonical([hashlib.sha256(array.tobytes()).hexdigest() for array in arrays]))


def make_click_data(corpus: Corpus, settings: Click) -> ClickData:
    """Turn the events after everybody's oldest ones into samples.

    A sample's history are the last `max_history` events before it in the user's whole sequence, with their ratings: of
    a test user too, as he would be served, but no label of his is ever learned from. Without ratings (`negatives`)
    every event is a click, and beside it stand items that others chose and he never did, drawn as often as train and
    reserved events have them, under the same history.

    Raises ConfigError where there are no ratings to make labels of.
    """
    order = np.argsort(corpus.edges[0], kind="stable")  # the corpus is in time order
    user, item = corpus.edges[:, order]
    rating, ids = _rating_ids(corpus, order)
    part = np.array([*PARTS, RESERVED])[corpus.part[order]]
    label = _labels(corpus, order, settings)
    history = _windows(user, settings.max_history)  # [E, H] places in the sequence
    none = history == NOTHING
    every = Samples(
        user, item, np.where(none, NOTHING, item[history]), np.where(none, 0, rating[history]), np.nan_to_num(label)
    )
    parts = {
        name: every.take(np.flatnonzero((part == given) & ~np.isnan(label)))
        for name, given in (("train", RESERVED), ("valid", "valid"), ("test", "test"))
    }
    if settings.negatives:
        parts = _with_negatives(corpus, parts, settings.negatives)
    return ClickData(parts["train"], parts["valid"], parts["test"], ids)


def sampled(samples: Samples, size: int | None, seed: int) -> Samples:
    """At most `size` samples, drawn without replacement."""
    if size is None or len(samples) <= size:
        return samples
    return samples.take(np.sort(np.random.default_rng(seed).choice(len(samples), size, replace=False)))


def _windows(user: Int64, size: int) -> Int64:
    """Places of the `size` events before every event of the same user, newest last: [E, size]."""
    place = np.arange(len(user))
    start = np.searchsorted(user, user)  # `user` ascends
    before = place[:, None] - np.arange(size, 0, -1)
    return np.where(before >= start[:, None], before, NOTHING)


def _rating_ids(corpus: Corpus, order: Int64) -> tuple[Int64, int]:
    """Rating ids [E] from 1, 0 where there is none, and how many ids there are with 0."""
    if corpus.rating is None:
        return np.zeros(len(order), dtype=np.int64), 1
    rating = corpus.rating[order]
    known = ~np.isnan(rating)
    values, place = np.unique(rating[known], return_inverse=True)
    ids = np.zeros(len(order), dtype=np.int64)
    ids[known] = place + 1
    return ids, len(values) + 1


def _labels(corpus: Corpus, order: Int64, settings: Click) -> NDArray[np.float32]:
    """1 for a click, 0 for none, NaN where an event says neither: [E]."""
    if settings.negatives:
        return np.ones(len(order), dtype=np.float32)
    if corpus.rating is None:
        raise ConfigError(
            "click: labels are made of ratings, and the interactions have none; set click.negatives to draw items"
            " that were not chosen instead"
        )
    rating = corpus.rating[order]
    return np.where(np.isnan(rating), np.float32(np.nan), rating > settings.threshold).astype(np.float32)


def _with_negatives(corpus: Corpus, parts: Mapping[str, Samples], count: int) -> dict[str, Samples]:
    known = corpus.edges[:, (corpus.part == 0) | (corpus.part == len(PARTS))][1]
    rng = np.random.default_rng(0)  # the same samples for every model and seed
    taken = np.unique(corpus.edges[0] * corpus.num_items + corpus.edges[1])
    found = {}
    for name, samples in parts.items():
        rows = np.repeat(np.arange(len(samples)), count)
        other = _unseen(samples.user[rows], known, taken, corpus.num_items, rng)
        drawn = replace(samples.take(rows), item=other, label=np.zeros(len(rows), dtype=np.float32))
        found[name] = _joined(samples, drawn.take(np.flatnonzero(other != NOTHING)))
    return found


def _unseen(user: Int64, pool: Int64, taken: Int64, num_items: int, rng: np.random.Generator) -> Int64:
    """An item of `pool` for every user that is not in `taken` (user * I + item); -1 after ten vain draws."""
    found, todo = np.full(len(user), NOTHING), np.arange(len(user))
    for _ in range(10):
        item = pool[rng.integers(len(pool), size=len(todo))]
        pair = user[todo] * num_items + item
        free = taken[np.minimum(np.searchsorted(taken, pair), len(taken) - 1)] != pair
        found[todo[free]] = item[free]
        todo = todo[~free]
    return found


def _joined(one: Samples, other: Samples) -> Samples:
    """Both, in order of user."""
    both = Samples(*(np.concatenate(pair) for pair in zip(vars(one).values(), vars(other).values(), strict=True)))
    return both.take(np.argsort(both.user, kind="stable"))
