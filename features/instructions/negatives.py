"""Items that stand for what a user would not take: drawn uniformly, outside the user's train items."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from features.corpus import Corpus

Int64 = NDArray[np.int64]
TRIES = 8  # before the whole catalogue is looked through


@dataclass(frozen=True)
class Negatives:
    """Draws among the items that somebody has in train.

    One that the user has in the held-out parts may be drawn by chance: to leave it out would be to look at it.
    """

    corpus: Corpus

    @cached_property
    def pool(self) -> Int64:
        """Item rows that train knows, ascending."""
        return np.flatnonzero(self.corpus.train.item_degree).astype(np.int64)

    def draw(self, user: int, count: int, draw: np.random.Generator) -> list[int]:
        """Distinct item rows, `count` or as many as there are, each of those left equally likely."""
        matrix = self.corpus.train.by_user
        own = matrix.indices[matrix.indptr[user] : matrix.indptr[user + 1]]
        if 2 * (len(own) + count) < len(self.pool):
            known, found = set(own.tolist()), dict[int, None]()
            for _ in range(TRIES):
                for item in self.pool[draw.integers(len(self.pool), size=2 * count + 4)].tolist():
                    if item not in known:
                        found[item] = None
                if len(found) >= count:
                    return list(found)[:count]
        left = np.setdiff1d(self.pool, own)
        chosen: list[int] = draw.permutation(left)[:count].tolist()
        return chosen
