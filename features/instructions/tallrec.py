"""TALLRec: whether a user who liked some items and disliked others will like one more."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from features.instructions.base import Key, LikedAbove, Negatives, OneByOne
from features.instructions.examples import Example
from features.instructions.likes import Likes
from features.instructions.sources import Sources
from features.instructions.wording import NO, YES, yes_no

Int64 = NDArray[np.int64]


class Tallrec(OneByOne):
    """Yes or no about an item, after the last ones that the user liked and disliked.

    `liked_above`: a rating above it is a like, any other is none. What has no rating, and everything where the option
    is left out, is a like, and `negatives` items that the user does not have are asked about beside it.
    """

    source: ClassVar[str] = "TALLRec (Bao et al. 2023, arXiv 2305.00447)"
    reads: ClassVar[tuple[Key, ...]] = ("profile",)

    def __init__(self, *, liked_above: LikedAbove = None, negatives: Negatives = 1) -> None:
        self.likes = Likes(liked_above, negatives)

    def plan(self, sources: Sources, seed: int) -> Int64:
        del seed
        return self.likes.plan(sources.timeline)

    def example(self, sources: Sources, task: int, about: int, draw: np.random.Generator) -> Example | None:
        target = self.likes.target(sources, task, about, draw)
        if target is None:
            return None
        (item, liked), line, places = target, sources.timeline, sources.before(about)
        user, likes = int(line.user[about]), [self.likes.liked(line, place) for place in places.tolist()]
        worded = yes_no(
            sources.named(sources.items(places[likes])),
            sources.titles[item],
            noun=sources.noun,
            disliked=sources.named(sources.items(places[np.logical_not(likes)])),
            profile=sources.about(user, item),
        )
        answer, label = (YES, 1.0) if liked else (NO, 0.0)
        return Example("yes_no", worded, answer, user, item, sources.items(places), label=label)
