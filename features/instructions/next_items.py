"""What builders that ask for the next item share: which interactions are answers, and the candidates beside them."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from features.instructions.base import Key, LikedAbove, OneByOne
from features.instructions.examples import Example
from features.instructions.sources import Sources

Int64 = NDArray[np.int64]


@dataclass(frozen=True)
class Next:
    """An interaction that is the answer, and what is known before it."""

    user: int
    item: int
    shown: list[int]  # item rows, oldest first
    history: list[str]  # their titles

    @classmethod
    def of(cls, sources: Sources, place: int) -> Next:
        """What an interaction of train is, and the last ones before it."""
        shown = sources.items(sources.before(place))
        return cls(int(sources.timeline.user[place]), int(sources.timeline.item[place]), shown, sources.named(shown))


class NextItem(OneByOne):
    """Every interaction that its user has something before is an answer; with `liked_above`, none rated lower."""

    reads: ClassVar[tuple[Key, ...]] = ("profile",)

    def __init__(self, *, liked_above: LikedAbove = None) -> None:
        self.liked_above = liked_above

    def plan(self, sources: Sources, seed: int) -> Int64:
        del seed
        places = liked_places(sources, sources.timeline.continued, self.liked_above)
        return np.stack([np.zeros_like(places), places], axis=1)

    @abstractmethod
    def example(self, sources: Sources, task: int, about: int, draw: np.random.Generator) -> Example | None:
        """One example of the plan; `draw` is its own."""


def liked_places(sources: Sources, places: Int64, liked_above: float | None) -> Int64:
    """Those places whose rating is above a threshold, or that have none; all of them without a threshold."""
    return places if liked_above is None else places[~(sources.timeline.rating[places] <= liked_above)]


def candidates(sources: Sources, user: int, item: int, count: int, draw: np.random.Generator) -> list[int]:
    """The item and others that the user does not have, `count` in all or as many as there are, in random order."""
    found = [item, *sources.negatives.draw(user, count - 1, draw)]
    shuffled: list[int] = draw.permutation(found).tolist()
    return shuffled
