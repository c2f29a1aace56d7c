"""What is known of the answers to one field of a recipe, and what measuring them gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from schemas.records import Kind


@dataclass(frozen=True)
class Before:
    """The same field on an earlier night. `comparable`: by the same models, asked in the same way."""

    ds: str
    texts: pl.DataFrame  # id, text
    comparable: bool
    measures: Mapping[str, float] = field(default_factory=dict)  # what was measured that night


@dataclass(frozen=True)
class Answers:
    """Tonight's answers to one field of a recipe, what they are compared with, and what is known of the field."""

    recipe: str
    kind: Kind
    field: str
    asked: int  # users or items that were to be asked about
    texts: pl.DataFrame  # id, text; one row per user or item that has a text
    prose: bool = True  # else a name, a language, one of several words
    word_limit: int | None = None
    before: Before | None = None

    @property
    def name(self) -> tuple[str, Kind, str]:
        """Recipe, kind and field."""
        return self.recipe, self.kind, self.field


@dataclass(frozen=True)
class Measure:
    """One figure; `allowed` is the most that it may be, None where it is not gated."""

    recipe: str
    kind: Kind
    field: str
    measure: str
    value: float
    allowed: float | None = None
    detail: str = ""


@dataclass(frozen=True)
class Example:
    """Answers behind a figure: `said` is a title or a language, `ids` are some of the `size` texts like `text`."""

    recipe: str
    kind: Kind
    field: str
    measure: str
    rank: int
    said: str
    size: int
    ids: tuple[str, ...]
    text: str


@dataclass
class Judged:
    """Measures and examples, of one field or of all."""

    measures: list[Measure] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)

    def add(self, other: Judged) -> None:
        """Take in those of another field."""
        self.measures += other.measures
        self.examples += other.examples
