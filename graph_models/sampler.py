"""Vectorised, seeded sampling of positives and negatives; no train item is ever used as its user's negative."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from evaluation.ranking import chunks, entries
from graph_models.dataset import GraphDataset
from schemas.sections import Training

Int64 = NDArray[np.int64]
Float32 = NDArray[np.float32]
ROUNDS = 20


@dataclass(frozen=True)
class Candidates:
    """What the softmax of a batch is taken over: the same items for each of its users, less those he has in train."""

    user: Tensor  # int64 [V] the batch's distinct users
    row: Tensor  # int64 [B] place of each pair's user among them, ascending
    item: Tensor | None  # int64 [S]; None: the whole catalogue
    masked: Tensor  # int64 [2, M] (row, column) of train items, rows ascending
    offset: Tensor | None = None  # float32 [S] added to the logits: log of how many items each candidate stands for
    weight: Tensor | None = None  # float32 [B] of the pairs, whose mean over an epoch is one; None: one each
    shift: Tensor | None = None  # float32 [B] added to the logits of the pairs; None: nothing


@dataclass(frozen=True)
class Batch:
    """B positive pairs and their negatives. Items are numbered within the items, not within the nodes."""

    user: Tensor  # int64 [B]
    positive: Tensor  # int64 [B]
    negative: Tensor  # int64 [B], one for each pair, or [S], shared by all pairs
    candidates: Candidates | None = None  # of the softmax losses
    part: float = 1.0  # which share of the pairs that are drawn together these are; below one among several processes


class Sampler:
    """Batches of one epoch after another, all drawn from one generator.

    edge: every train edge once per epoch, in random order (RLMRec). user: as many draws as edges, the user uniform,
    then one of his items (LightGCN, AlphaRec). history: every train edge once, a user's in one batch, of about
    `batch_size` edges.

    BPR takes one negative per pair, by rejection. InfoNCE takes `negatives` distinct items, sampled softmax `negatives`
    draws with probability q_i ~ (train interactions + 1) ^ `negative_power`, softmax the catalogue. All users of the
    batch share them, so that scoring them is one matrix product; for each user those that he has in train are masked,
    so that he sees negatives without false ones, as if they were drawn for him alone. A draw stands for 1 / (draws q_i)
    items, so that sampled softmax estimates the softmax over the catalogue whatever the power (Bengio and Senecal,
    IEEE TNN 2008). A `popularity_offset` is added to every logit, times the log of the item's train interactions: what
    popularity explains need not be learned, and scores come out without it (logit adjustment, Menon et al., ICLR 2021).
    The softmax over the catalogue always takes whole histories; users who are to count alike are not
    drawn but weighted, which is the same in the mean and scores every user once an epoch.
    """

    def __init__(self, graph: GraphDataset, settings: Training, generator: np.random.Generator) -> None:
        self.seen, self.device, self.settings, self.generator = graph.seen, graph.device, settings, generator
        self.degree = np.diff(self.seen.indptr).astype(np.int64)  # [U]
        self.users = np.repeat(np.arange(graph.num_users, dtype=np.int64), self.degree)  # [E]
        self.keys = self.users * graph.num_items + self.seen.indices  # [E] ascending
        self.num_items = graph.num_items
        popular = np.bincount(self.seen.indices, minlength=graph.num_items) + 1.0
        weight = popular**settings.negative_power
        self.probability = weight / weight.sum()  # [I]
        self.cumulated = np.cumsum(self.probability)
        self.adjustment = _adjustment(popular, settings.popularity_offset)

    def epoch(self) -> Iterator[Batch]:
        make = self._bpr if self.settings.loss == "bpr" else self._shared
        batches = {"edge": self._edges, "user": self._user_uniform, "history": self._histories}
        for user, positive in batches[self._order()]():
            yield make(user, positive)

    def _order(self) -> str:
        if self.settings.loss == "softmax":
            return "history"
        return "edge" if self.settings.sampler == "auto" else self.settings.sampler

    def _edges(self) -> Iterator[tuple[Int64, Int64]]:
        order = self.generator.permutation(len(self.users))
        for rows in chunks(len(order), self.settings.batch_size):
            yield self.users[order[rows]], self.seen.indices[order[rows]].astype(np.int64)

    def _user_uniform(self) -> Iterator[tuple[Int64, Int64]]:
        user = self.generator.choice(np.flatnonzero(self.degree), len(self.users))
        place = self.seen.indptr[user] + self.generator.integers(self.degree[user])
        for rows in chunks(len(user), self.settings.batch_size):
            yield user[rows], self.seen.indices[place[rows]].astype(np.int64)

    def _histories(self) -> Iterator[tuple[Int64, Int64]]:
        user = self.generator.permutation(np.flatnonzero(self.degree))
        batch = (np.cumsum(self.degree[user]) - 1) // self.settings.batch_size  # of each user's last edge
        for some in np.split(user, np.flatnonzero(np.diff(batch)) + 1):
            row, item = entries(self.seen, some)
            yield some[row], item

    def _bpr(self, user: Int64, positive: Int64) -> Batch:
        return Batch(self._tensor(user), self._tensor(positive), self._tensor(self._rejected(user, positive)))

    def _rejected(self, user: Int64, positive: Int64) -> Int64:
        """Uniform items outside the user's train items: [B].

        After 20 rounds only users who have nearly everything are left; they get their positive, whose gradient is zero.
        """
        negative = positive.copy()
        left = np.arange(len(user))
        for _ in range(ROUNDS):
            drawn = self.generator.integers(self.num_items, size=len(left))
            free = ~self._in_train(user[left], drawn)
            negative[left[free]] = drawn[free]
            left = left[~free]
            if not len(left):
                break
        return negative

    def _in_train(self, user: Int64, item: Int64) -> NDArray[np.bool_]:
        key = user * self.num_items + item
        place = np.minimum(np.searchsorted(self.keys, key), len(self.keys) - 1)
        return np.asarray(self.keys[place] == key)

    def _shared(self, user: Int64, positive: Int64) -> Batch:
        order = np.argsort(user, kind="stable")
        user, positive = user[order], positive[order]
        distinct, row = np.unique(user, return_inverse=True)
        item, offset = self._by_popularity() if self.settings.loss == "sampled_softmax" else (self._uniform(), None)
        whole = self.settings.loss == "softmax"
        shift = None if self.adjustment is None else self.adjustment[positive]
        masked = np.stack(entries(self.seen, distinct) if whole else self._drawn_of(distinct, item))
        candidates = Candidates(
            self._tensor(distinct),
            self._tensor(row),
            None if whole else self._tensor(item),
            self._tensor(masked),
            self._maybe(self._adjusted(offset, None if whole else item)),
            self._maybe(self._alike(user) if whole and self.settings.sampler == "user" else None),
            self._maybe(shift),
        )
        return Batch(self._tensor(user), self._tensor(positive), self._tensor(item), candidates)

    def _alike(self, user: Int64) -> Float32:
        """Weights [B] with which every user counts alike."""
        mean = len(self.users) / np.count_nonzero(self.degree)
        return np.asarray(mean / self.degree[user], dtype=np.float32)

    def _adjusted(self, offset: Float32 | None, item: Int64 | None) -> Float32 | None:
        """The candidates' offsets [S] with the popularity adjustment; `item` None: of the catalogue."""
        if self.adjustment is None:
            return offset
        own = self.adjustment if item is None else self.adjustment[item]
        return own if offset is None else offset + own

    def _uniform(self) -> Int64:
        size = min(self.settings.negatives, self.num_items)
        return self.generator.choice(self.num_items, size, replace=False, shuffle=False)

    def _by_popularity(self) -> tuple[Int64, Float32]:
        """Distinct items [S] of `negatives` draws, and the log of how many items each stands for."""
        size = self.settings.negatives
        drawn = np.searchsorted(self.cumulated, self.generator.random(size), side="right")
        item, count = np.unique(np.minimum(drawn, self.num_items - 1), return_counts=True)
        return item, np.log(count / (size * self.probability[item])).astype(np.float32)

    def _drawn_of(self, user: Int64, item: Int64) -> tuple[Int64, Int64]:
        """Where drawn items [S] are train items of the users [V]: row and column [M]."""
        column = np.full(self.num_items, -1)
        column[item] = np.arange(len(item))
        row, known = entries(self.seen, user)
        drawn = column[known] >= 0
        return row[drawn], column[known[drawn]]

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(self.device, non_blocking=True)

    def _maybe(self, array: NDArray[Any] | None) -> Tensor | None:
        return None if array is None else self._tensor(array)


def _adjustment(popular: NDArray[np.floating], offset: float) -> Float32 | None:
    """What is added to the logits of items [I] of `popular` interactions plus one."""
    return (offset * np.log(np.maximum(popular - 1, 1))).astype(np.float32) if offset else None
