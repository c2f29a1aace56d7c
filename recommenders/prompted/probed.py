"""Those that show a user's candidates together, in several orders, and tell whether the places decide."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property

import numpy as np

from recommenders.histories import Int64
from recommenders.prompted.asker import Asked
from recommenders.prompted.base import O, Prompted, T
from recommenders.prompted.probes import Float, Probes, percentiles
from recommenders.prompted.wording import Item, Known
from recommenders.reranking import Float32
from schemas.sections import Llm


class Probed(Prompted[O, T]):
    """Asks `bootstrap` questions about a user, each with the candidates in another order, and adds up what they give.

    The probes of LLMRank are told beside the counts.
    """

    def __init__(self, options: O, llm: Llm, seed: int = 0) -> None:
        super().__init__(options, llm, seed)
        self.probes = Probes()

    @property
    @abstractmethod
    def bootstrap(self) -> int:
        """How many questions about a user."""

    @abstractmethod
    def question(self, user: int, known: Known, shown: Sequence[Item]) -> Asked[T]:
        """One question about candidates in the order shown."""

    @abstractmethod
    def places(self, said: T) -> tuple[int, ...]:
        """Places shown of the candidates that an answer orders, best first."""

    @abstractmethod
    def points(self, said: T, count: int) -> Float32:
        """What an answer gives each of `count` candidates in the order shown."""

    def questions_per_user(self, candidates: int) -> int:
        del candidates
        return self.bootstrap

    def questions(self, user: int, items: Int64) -> list[Asked[T]]:
        known = self.known(user, items)
        orders = [items[self.order(user, items, repeat)].tolist() for repeat in range(self.bootstrap)]
        return [self.question(user, known, [self.item(row) for row in order]) for order in orders]

    def score(self, user: int, items: Int64, said: Sequence[T | None]) -> Float32:
        """The sum over answers, in the order of `items`."""
        count, total, shown = len(items), np.zeros(len(items), dtype=np.float32), list[Int64]()
        for repeat, each in enumerate(said):
            if each is not None:
                order = self.order(user, items, repeat)
                shown.append(order)
                total[order] += self.points(each, count)
                self.probes.answer(self.places(each), count)
        self.probes.ranking(total, shown, self._percentile[items])
        return total

    @contextmanager
    def telling(self) -> Iterator[None]:
        """With the probes of the same rankings."""
        if not self.told:
            self.probes = Probes()
        with super().telling():
            yield
        self.told.update(self.probes.to_json())

    @cached_property
    def _percentile(self) -> Float:
        return percentiles(self.train_only.item, len(self.shown.item_ids))
