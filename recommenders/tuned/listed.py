"""The base of those that show all candidates at once, in an order that says nothing about them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recommenders.histories import Int64
from recommenders.tuned.base import TunedReranker
from recommenders.tuned.lessons import Lesson, TrainHistories


@dataclass(frozen=True)
class Listed:
    """Candidates of a user in the order in which a prompt shows them."""

    user: int
    places: Int64  # of the history that is shown
    items: list[int]


class ListedReranker(TunedReranker):
    """Learns from the next item among as many candidates less one that the user does not have in train."""

    learned: TrainHistories

    def drawn(self, lesson: Lesson, generator: np.random.Generator) -> Listed:
        """The next item among negatives, at a place that is drawn."""
        others = self.learned.negatives(lesson.user, self.candidates - 1, generator)
        items = generator.permutation([lesson.item, *others]).tolist()
        return Listed(lesson.user, self.latest(lesson.before), items)

    def listed(self, users: Int64, items: Int64) -> list[Listed]:
        """The candidates items [B, m] of users [B]; who the user is decides their order."""
        found = []
        for user, row in zip(users.tolist(), items, strict=True):
            order = np.random.default_rng((self.settings.seed, user)).permutation(row[row >= 0])
            found.append(Listed(user, self.latest(self.serving.places(user)), order.tolist()))
        return found

    def profile(self, user: int) -> str | None:
        return self.shown.profile("user", user)


def put_back(scores: Sequence[Sequence[float]], listed: Sequence[Listed], items: Int64) -> np.ndarray:
    """Scores of candidates as they were shown at the places of items [B, m]: float32 [B, m], -inf for -1."""
    found = np.full(items.shape, -np.inf, dtype=np.float32)
    for row, (values, shown) in enumerate(zip(scores, listed, strict=True)):
        by_item = dict(zip(shown.items, values, strict=True))
        found[row] = [by_item.get(item, -np.inf) for item in items[row].tolist()]
    return found
