"""Vectorised, seeded sampling of positives and negatives; no train item is ever used as its user's negative."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from evaluation.ranking import chunks, entries
from graph_models.dataset import GraphDataset
from schemas.sections import Training

Int64 = NDArray[np.int64]
ROUNDS = 20


@dataclass(frozen=True)
class Batch:
    """B positive pairs and their negatives. Items are numbered within the items, not within the nodes."""

    user: Tensor  # int64 [B]
    positive: Tensor  # int64 [B]
    negative: Tensor  # int64 [B], one for each pair, or [S], shared by all pairs
    masked: Tensor | None = None  # int64 [2, M]: (pair, column of the shared negatives) in the train items of the user


class Sampler:
    """Batches of one epoch after another, all drawn from one generator.

    edge: every train edge once per epoch, in random order (RLMRec). user: as many draws as edges, the user uniform,
    then one of his items (LightGCN, AlphaRec).

    BPR takes one negative per pair, by rejection. InfoNCE takes `negatives` distinct items that all pairs of the batch
    share, so that scoring them is one matrix product; for each pair those that its user has in train are masked, so
    that every pair sees uniform negatives without false ones, as if they were drawn for it alone.
    """

    def __init__(self, graph: GraphDataset, settings: Training, generator: np.random.Generator) -> None:
        self.seen, self.device, self.settings, self.generator = graph.seen, graph.device, settings, generator
        self.degree = np.diff(self.seen.indptr).astype(np.int64)  # [U]
        self.users = np.repeat(np.arange(graph.num_users, dtype=np.int64), self.degree)  # [E]
        self.keys = self.users * graph.num_items + self.seen.indices  # [E] ascending
        self.num_items = graph.num_items

    def epoch(self) -> Iterator[Batch]:
        user, positive = self._edges() if self.settings.sampler == "edge" else self._user_uniform()
        make = self._bpr if self.settings.loss == "bpr" else self._shared
        for rows in chunks(len(user), self.settings.batch_size):
            yield make(user[rows], positive[rows])

    def _edges(self) -> tuple[Int64, Int64]:
        order = self.generator.permutation(len(self.users))
        return self.users[order], self.seen.indices[order].astype(np.int64)

    def _user_uniform(self) -> tuple[Int64, Int64]:
        user = self.generator.choice(np.flatnonzero(self.degree), len(self.users))
        place = self.seen.indptr[user] + self.generator.integers(self.degree[user])
        return user, self.seen.indices[place].astype(np.int64)

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
        size = min(self.settings.negatives, self.num_items)
        negative = self.generator.choice(self.num_items, size, replace=False, shuffle=False)
        column = np.full(self.num_items, -1)
        column[negative] = np.arange(size)
        row, item = entries(self.seen, user)
        drawn = column[item] >= 0
        masked = np.stack([row[drawn], column[item[drawn]]])
        return Batch(self._tensor(user), self._tensor(positive), self._tensor(negative), self._tensor(masked))

    def _tensor(self, array: Int64) -> Tensor:
        return torch.from_numpy(array).to(self.device, non_blocking=True)
