"""What a language model learns from: the next items of train histories, each with what came before it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor, nn

from evaluation.ranking import chunks
from features.corpus import Corpus
from features.instructions.negatives import Negatives
from recommenders.histories import Histories, Int64

POOL = 16  # batches


@dataclass(frozen=True)
class Lesson:
    """A next item of a user, and the places in the histories of all that came before it."""

    user: int
    before: Int64  # [n] oldest first
    item: int
    place: int


@dataclass(frozen=True)
class TrainHistories:
    """Train histories, and the places of the next items that are learned from."""

    histories: Histories
    owner: Int64  # [E] user of each place
    places: Int64  # [N]
    drawing: Negatives

    @classmethod
    def of(cls, corpus: Corpus, samples: int, seed: int) -> TrainHistories:
        """All items but the first of every user, or so many of them as the seed draws."""
        histories = Histories.of(corpus.train)
        owner = np.repeat(np.arange(corpus.num_users), histories.length)
        places = np.flatnonzero(np.arange(len(owner)) > histories.indptr[owner]).astype(np.int64)
        if 0 < samples < len(places):
            places = np.sort(np.random.default_rng(seed).choice(places, samples, replace=False))
        return cls(histories, owner, places, Negatives(corpus))

    def lesson(self, place: int) -> Lesson:
        user = int(self.owner[place])
        return Lesson(user, np.arange(self.histories.indptr[user], place), int(self.histories.item[place]), place)

    def negatives(self, user: int, count: int, generator: np.random.Generator) -> list[int]:
        """Distinct items of train that the user does not have in train: what is held out is not looked at."""
        return self.drawing.draw(user, count, generator)


@dataclass(frozen=True)
class Lessons:
    """The training task of a language model: `word` makes the examples of some lessons, `loss_of` their mean loss."""

    module: nn.Module
    source: TrainHistories
    word: Callable[[Sequence[Lesson], np.random.Generator], Any]
    loss_of: Callable[[Any], Tensor]

    def steps(self, batch_size: int) -> int:
        return -(-len(self.source.places) // batch_size)

    def batches(self, batch_size: int, generator: np.random.Generator) -> Iterator[Any]:
        """Lessons in random order; of a pool of 16 batches those with histories of similar length together."""
        drawn = self.source.places[generator.permutation(len(self.source.places))]
        for rows in chunks(len(drawn), POOL * batch_size):
            lessons = [self.source.lesson(int(place)) for place in drawn[rows]]
            lessons.sort(key=lambda lesson: len(lesson.before))
            batches = [lessons[each] for each in chunks(len(lessons), batch_size)]
            for number in generator.permutation(len(batches)):
                yield self.word(batches[number], generator)

    def loss(self, batch: Any) -> Tensor:
        return self.loss_of(batch)
