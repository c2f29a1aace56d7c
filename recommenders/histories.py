"""Every user's items in order: what sequential recommenders and language models read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.corpus import Part

Int64 = NDArray[np.int64]


@dataclass(frozen=True)
class Histories:
    """Every user's items, oldest first, and when they came; repeated items stay."""

    item: Int64  # [E]
    time: Int64  # [E] unix seconds, or the order where there are no times
    indptr: Int64  # [U + 1]
    rating: NDArray[np.float32] | None = None  # [E] in the source's own scale, NaN where there is none

    @classmethod
    def of(cls, part: Part) -> Histories:
        """The interactions of a part; of one moment in the order of the part."""
        order = np.lexsort((np.arange(len(part)), part.time, part.edges[0]))
        indptr = np.concatenate([[0], np.cumsum(part.user_degree)]).astype(np.int64)
        rating = None if part.rating is None else part.rating[order]
        return cls(part.edges[1][order], part.time[order], indptr, rating)

    @property
    def length(self) -> Int64:
        """[U] items of every user."""
        return np.diff(self.indptr)

    def last(self, users: Int64, n: int, pad: int) -> tuple[Int64, Int64]:
        """The last n items of some users and their times, padded on the left with `pad` and the first time: [B, n].

        A user without any item has `pad` and zero throughout.
        """
        return self.before(self.indptr[users + 1], self.indptr[users], n, pad)

    def before(self, end: Int64, start: Int64, n: int, pad: int) -> tuple[Int64, Int64]:
        """The same for the n entries before place `end` [B] and from place `start` [B] on."""
        place = end[:, None] - n + np.arange(n)  # [B, n]
        real = place >= start[:, None]
        place = np.where(real, place, np.minimum(start, end - 1)[:, None]).clip(min=0)
        if not len(self.item):
            return np.full(place.shape, pad), np.zeros(place.shape, dtype=np.int64)
        empty = (end <= start)[:, None]
        return np.where(real, self.item[place], pad), np.where(empty, 0, self.time[place])

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """Its arrays as they are saved, under names that begin with `name`."""
        found = {f"{name}.item": self.item, f"{name}.time": self.time, f"{name}.indptr": self.indptr}
        return found if self.rating is None else {**found, f"{name}.rating": self.rating}

    @classmethod
    def saved(cls, arrays: Mapping[str, NDArray[Any]], name: str) -> Histories:
        """What `arrays` gave."""
        item, time, indptr = (arrays[f"{name}.{part}"] for part in ("item", "time", "indptr"))
        return cls(item, time, indptr, arrays.get(f"{name}.rating"))

    def places(self, user: int) -> Int64:
        """Where a user's items are, oldest first: [n]."""
        return np.arange(self.indptr[user], self.indptr[user + 1])

    def of_user(self, user: int) -> list[int]:
        """The items of a user, oldest first."""
        found: list[int] = self.item[self.indptr[user] : self.indptr[user + 1]].tolist()
        return found
