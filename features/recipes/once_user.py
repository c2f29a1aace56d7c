"""User interests of ONCE: the topics that a user cares about (arXiv 2305.06566, section 3.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from pydantic import BaseModel

from features.recipes.base import DATA_IS_DATA, JSON_ONLY, Data, MaxItems, Recipe
from features.recipes.reading import Text
from schemas.records import Kind, Subject


class Answer(BaseModel):
    """What the model is asked for."""

    interests: Text


@dataclass(frozen=True)
class OnceUser(Recipe):
    """Shows the titles of a user's history and asks for topics."""

    name: ClassVar[str] = "once.user"
    version: ClassVar[str] = "1"
    kind: ClassVar[Kind] = "user"
    source: ClassVar[str] = "ONCE (Liu et al. 2024, arXiv 2305.06566), GENRE: user profiler"
    asks: ClassVar[str] = "topics that the user is interested in"
    yields: ClassVar[str] = "interests (topics, separated by commas)"
    tokens: ClassVar[tuple[int, int]] = (470, 15)
    answer: ClassVar[type[BaseModel]] = Answer
    brief: ClassVar[tuple[str, ...]] = ("interests",)
    words: ClassVar[Mapping[str, int]] = {"interests": 30}

    max_items: MaxItems = 20

    def system(self) -> str:
        return f"""\
You name the topics that a user is interested in, judging from the {self.noun}s that the user chose.
You are given a JSON list of them, oldest first. {DATA_IS_DATA}
Requirements:
1. {JSON_ONLY} Its key is "interests".
2. "interests" is three to ten topics of one or two words each, separated by commas; "None" if that cannot be told."""

    def data(self, subject: Subject) -> Data:
        return self.history_data(subject)
