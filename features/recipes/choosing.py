"""Questions in which a user's candidates are shown: what recipes that let a language model choose share."""

from __future__ import annotations

from abc import ABC
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Annotated

from pydantic import Field

from features.recipes.base import Recipe
from schemas.records import Event, Subject

MOST = 10  # letters that an answer's schema knows


@dataclass(frozen=True)
class Choosing(Recipe, ABC):
    """Shows `candidates` items that `base` ranks first for a user, in an order that says nothing about them.

    `base` is a recommender that is fitted on train alone; train items are no candidates.
    """

    base: Annotated[
        str, Field(description="recommender that proposes, fitted on train alone: pure_svd or popularity")
    ] = "pure_svd"
    candidates: Annotated[int, Field(ge=2, le=MOST, description="items that a prompt shows to choose from")] = MOST

    @property
    def drawn_by(self) -> str:
        """Who draws the candidates and how many: others have other ones."""
        return f"{self.base}, {self.candidates}"

    def offered(self, subject: Subject) -> dict[str, Event]:
        """The candidates by letter, in the order of their ids; none of them is in the user's history."""
        known = {event.id for event in subject.history}
        fresh = [event for event in subject.candidates if event.id not in known][: self.candidates]
        return dict(zip(ascii_uppercase, sorted(fresh, key=lambda event: event.id), strict=False))
