"""What a builder of instructions is: it says which examples there are, and words each of them on its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from features.instructions.drawing import drawn
from features.instructions.examples import Example, rows
from features.instructions.sources import Sources

Int64 = NDArray[np.int64]
Key = Literal["profile", "intention", "codes", "vectors"]  # of an entry of [[instructions]]
KEYS: tuple[Key, ...] = get_args(Key)
Count = Annotated[int, Field(ge=0)]
Size = Annotated[int, Field(gt=0)]
Threshold = Annotated[float, Field(allow_inf_nan=False)]
LikedAbove = Annotated[
    Threshold | None, Field(description="ratings above it are likes; lower ones are no answers, or the answer no")
]
Negatives = Annotated[Count, Field(description="items that the user does not have, asked about beside each like")]
Candidates = Annotated[int, Field(ge=2, description="items that are shown, of which one is next")]
ROWS_AT_ONCE = 10_000


class Builder(ABC):
    """Makes examples as a paper has them. Options of the run file are the keyword-only parameters of the constructor.

    Everything is made from `Corpus.train`, the catalogue, and what a night made of them.
    """

    source: ClassVar[str]  # paper
    needs: ClassVar[tuple[Key, ...]] = ()  # keys of the entry that must be there
    reads: ClassVar[tuple[Key, ...]] = ()  # and those that may

    @abstractmethod
    def plan(self, sources: Sources, seed: int) -> Int64:
        """Every example that there is, [N, 2]: its task from 0 on, and the place or row that it is about."""

    @abstractmethod
    def block(self, sources: Sources, plan: Int64, seed: int) -> Iterator[Example | None]:
        """The examples of some rows of the plan, whatever the others are; None for what turns out to be none."""

    @property
    def weights(self) -> tuple[float, ...]:
        """How often each task is drawn, where not all examples are wanted; those that have none have 1."""
        return ()

    def build(self, sources: Sources, examples: int = 0, seed: int = 0) -> Iterator[pl.DataFrame]:
        """The rows of the table `instructions` but name and builder, some at a time; `examples` of them, 0 for all.

        Those are drawn by the seed: as evenly over the tasks as their weights and numbers allow, uniformly within each.
        """
        plan, row = drawn(self.plan(sources, seed), self.weights, examples, seed), 0
        for start in range(0, len(plan), ROWS_AT_ONCE):
            made = [each for each in self.block(sources, plan[start : start + ROWS_AT_ONCE], seed) if each is not None]
            yield rows(sources, made, row)
            row += len(made)


class OneByOne(Builder):
    """A builder whose examples need nothing of each other."""

    @abstractmethod
    def example(self, sources: Sources, task: int, about: int, draw: np.random.Generator) -> Example | None:
        """One example of the plan; `draw` is its own."""

    def block(self, sources: Sources, plan: Int64, seed: int) -> Iterator[Example | None]:
        for task, about in plan.tolist():
            yield self.example(sources, task, about, np.random.default_rng([seed, task, about]))
