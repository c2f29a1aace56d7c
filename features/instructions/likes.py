"""What builders that ask for yes or no share: which interactions are likes, and what else is asked about."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.instructions.sources import Sources, Timeline

Int64 = NDArray[np.int64]


@dataclass(frozen=True)
class Likes:
    """A rating above `liked_above` is a like, any other rating is none; what has no rating is a like.

    Beside each of those without rating `negatives` items are asked about that the user does not have. Without
    `liked_above` no rating decides anything.
    """

    liked_above: float | None
    negatives: int

    def plan(self, line: Timeline) -> Int64:
        """[N, 2]: 0 and a place whose own item is asked about, or 1, 2, ... and one beside which another item is."""
        places = line.continued
        rated = ~np.isnan(line.rating[places]) & (self.liked_above is not None)
        beside = places[~rated]
        tasks = [np.zeros_like(places), *(np.full_like(beside, n + 1) for n in range(self.negatives))]
        return np.stack([np.concatenate(tasks), np.concatenate([places, *[beside] * self.negatives])], axis=1)

    def liked(self, line: Timeline, place: int) -> bool:
        """Whether the user likes the item of a place."""
        return self.liked_above is None or not line.rating[place] <= self.liked_above  # NaN: no rating

    def target(self, sources: Sources, number: int, place: int, draw: np.random.Generator) -> tuple[int, bool] | None:
        """The item that a row of the plan asks about, and whether the user likes it; None where there is no other."""
        line = sources.timeline
        if not number:
            return int(line.item[place]), self.liked(line, place)
        other = sources.negatives.draw(int(line.user[place]), 1, draw)
        return (other[0], False) if other else None
