"""What instruction tables are made from: train in time order, titles, and the texts, codes and vectors of a night."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from features.corpus import Corpus, attributes
from features.instructions.messages import plain
from features.instructions.negatives import Negatives
from features.recipes.reading import clean
from schemas.records import Kind

Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]
LONGEST = 300  # characters of a text in a prompt or answer


@dataclass(frozen=True)
class Timeline:
    """The train interactions, user after user, each user's oldest first; a place is a row of it."""

    user: Int64  # [E]
    item: Int64  # [E]
    start: Int64  # [E] the place where the user's interactions begin
    rating: Float32  # [E] NaN where there is none

    @classmethod
    def of(cls, corpus: Corpus) -> Timeline:
        """The interactions of `Corpus.train` and of nothing else; of one moment in the order of the part."""
        train = corpus.train
        order = np.lexsort((np.arange(len(train)), train.time, train.edges[0]))
        user, rating = train.edges[0][order], train.rating
        start = (np.cumsum(train.user_degree) - train.user_degree)[user]
        nothing = np.full(len(train), np.nan, dtype=np.float32)
        return cls(user, train.edges[1][order], start, nothing if rating is None else rating[order])

    @property
    def continued(self) -> Int64:
        """The places before which their user has something."""
        return np.flatnonzero(self.start < np.arange(len(self.user))).astype(np.int64)


@dataclass(frozen=True)
class Sources:
    """What builders read, by row of the corpus. An empty text is one that nobody wrote; an empty tuple, none at all."""

    corpus: Corpus
    titles: tuple[str, ...]  # [I] each names one item (`titles.unique_titles`)
    noun: str = "item"
    history: int = 10  # items that are shown
    profile: tuple[str, ...] = ()  # [U] what a recipe wrote of users
    intention: tuple[str, ...] = ()  # [I] or [U] what a recipe wrote that stands for a wish
    intention_kind: Kind = "item"
    codes: tuple[str, ...] = ()  # [I] semantic ids as tokens
    vectors: Float32 | None = None  # [I, d]

    @cached_property
    def timeline(self) -> Timeline:
        return Timeline.of(self.corpus)

    @cached_property
    def facts(self) -> list[dict[str, str]]:
        """[I] the text columns of every item."""
        return attributes(self.corpus.items)

    @cached_property
    def negatives(self) -> Negatives:
        return Negatives(self.corpus)

    def before(self, place: int) -> Int64:
        """The places of the history that is shown before an interaction, oldest first: the last ones."""
        return np.arange(max(int(self.timeline.start[place]), place - self.history), place)

    def through(self, place: int) -> Int64:
        """The same of a history that ends with the interaction."""
        return np.arange(max(int(self.timeline.start[place]), place + 1 - self.history), place + 1)

    def items(self, places: Int64) -> list[int]:
        """The item rows of places."""
        found: list[int] = self.timeline.item[places].tolist()
        return found

    def named(self, items: Iterable[int]) -> list[str]:
        """The titles of item rows."""
        return [self.titles[item] for item in items]

    def about(self, user: int, *items: int) -> str | None:
        """The profile of a user; None where there is none, and where it names an item that is asked about.

        It was written from all of the user's train history, which the answer is part of.
        """
        text = self.profile[user] if self.profile else ""
        told = any(_named(self.titles[item]).search(text) for item in items)
        return shortened(text) if text and not told else None

    def wish(self, user: int, item: int) -> str | None:
        """A text that stands for what the user wants, without the item's title; None where there is none."""
        if not self.intention:
            return None
        text = self.intention[item if self.intention_kind == "item" else user]
        bare = _named(self.titles[item]).sub(f"this {self.noun}", plain(text))
        return shortened(bare) or None


def shortened(text: str) -> str:
    """A text as prompts and answers show it, cut at a word."""
    return clean(plain(text), LONGEST)


def _named(title: str) -> re.Pattern[str]:
    """Where a text names a title."""
    return re.compile(rf"(?<!\w){re.escape(title)}(?!\w)", re.IGNORECASE)
