"""Every user's items in order: what sequential recommenders and language models read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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

    @classmethod
    def of(cls, part: Part) -> Histories:
        """The interactions of a part; of one moment in the order of the part."""
        order = np.lexsort((np.arange(len(part)), part.time, part.edges[0]))
        indptr = np.concatenate([[0], np.cumsum(part.user_degree)])
        return cls(part.edges[1][order], part.time[order], indptr.astype(np.int64))

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

    def arrays(self, name: str) -> dict[str, Int64]:
        """Its arrays as they are saved, under names that begin with `name`."""
        return {f"{name}.item": self.item, f"{name}.time": self.time, f"{name}.indptr": self.indptr}

    @classmethod
    def saved(cls, arrays: Mapping[str, Int64], name: str) -> Histories:
        """What `arrays` gave."""
        return cls(*(arrays[f"{name}.{part}"] for part in ("item", "time", "indptr")))

    def of_user(self, user: int) -> list[int]:
        """The items of one user, oldest first."""
        found: list[int] = self.item[self.indptr[user] : self.indptr[user + 1]].tolist()
        return found
