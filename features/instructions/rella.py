"""ReLLa: yes or no after the items of the history that are nearest to the target, beside the same after the latest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from features.instructions.base import Builder, Key, LikedAbove, Negatives
from features.instructions.examples import Example
from features.instructions.histories import retrieved_places
from features.instructions.likes import Likes
from features.instructions.sources import Sources
from features.instructions.wording import NO, YES, yes_no

Int64 = NDArray[np.int64]
VIEWS = ("retrieved", "recent")


class Rella(Builder):
    """Each example twice: after the history's items nearest to the target, and after its last (`mixed = false`: once).

    Likes and negatives are as in `tallrec`; where there are ratings, the history shows them.
    """

    source: ClassVar[str] = "ReLLa (Lin et al. 2024, arXiv 2308.11131)"
    needs: ClassVar[tuple[Key, ...]] = ("vectors",)
    reads: ClassVar[tuple[Key, ...]] = ("profile",)

    def __init__(
        self,
        *,
        liked_above: LikedAbove = None,
        negatives: Negatives = 1,
        mixed: Annotated[
            bool, Field(description="each example twice: with the nearest items, and with the last ones")
        ] = True,
    ) -> None:
        self.likes, self.views = Likes(liked_above, negatives), VIEWS[: 1 + mixed]

    def plan(self, sources: Sources, seed: int) -> Int64:
        """Task 2 n + v: view v of what `Likes.plan` numbers n."""
        del seed
        asked = self.likes.plan(sources.timeline)
        return np.concatenate([asked * [len(VIEWS), 1] + [view, 0] for view in range(len(self.views))])

    def block(self, sources: Sources, plan: Int64, seed: int) -> Iterator[Example | None]:
        numbers, views = np.divmod(plan[:, 0], len(VIEWS))
        asked = list(zip(numbers.tolist(), plan[:, 1].tolist(), strict=True))
        targets = [self.likes.target(sources, *each, np.random.default_rng([seed, *each])) for each in asked]
        nearest = self._nearest(sources, plan[:, 1], [target[0] if target else 0 for target in targets])
        for (_, place), view, target, found in zip(asked, views.tolist(), targets, nearest, strict=True):
            shown = sources.before(place) if view else found
            yield self._example(sources, VIEWS[view], place, shown, *target) if target else None

    def _nearest(self, sources: Sources, places: Int64, targets: list[int]) -> Iterator[Int64]:
        """For every place the places of its user's earlier items that are nearest to a target."""
        line, vectors = sources.timeline, sources.vectors
        assert vectors is not None, "an entry without vectors is refused"
        starts = line.start[places]
        histories = [line.item[start:place] for start, place in zip(starts.tolist(), places.tolist(), strict=True)]
        found = retrieved_places(histories, targets, vectors, sources.history)
        return (start + each for start, each in zip(starts, found, strict=True))

    def _example(self, sources: Sources, view: str, place: int, shown: Int64, item: int, liked: bool) -> Example:
        user, ratings = int(sources.timeline.user[place]), sources.timeline.rating[shown]
        worded = yes_no(
            sources.named(sources.items(shown)),
            sources.titles[item],
            noun=sources.noun,
            profile=sources.about(user, item),
            ratings=[None if np.isnan(each) else float(each) for each in ratings] if np.isfinite(ratings).any() else (),
        )
        answer, label = (YES, 1.0) if liked else (NO, 0.0)
        return Example("yes_no", worded, answer, user, item, sources.items(shown), label=label, template=view)
