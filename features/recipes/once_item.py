"""Item descriptions of ONCE: what a model knows of an item that the catalogue names (arXiv 2305.06566, section 3.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from pydantic import BaseModel

from features.recipes.base import DATA_IS_DATA, JSON_ONLY, Data, Recipe
from features.recipes.reading import Text
from schemas.records import Kind, Subject


class Answer(BaseModel):
    """What the model is asked for."""

    description: Text


@dataclass(frozen=True)
class OnceItem(Recipe):
    """Shows an item's attributes and asks for a description."""

    name: ClassVar[str] = "once.item"
    version: ClassVar[str] = "1"
    kind: ClassVar[Kind] = "item"
    source: ClassVar[str] = "ONCE (Liu et al. 2024, arXiv 2305.06566), GENRE: content summariser"
    asks: ClassVar[str] = "a description of the item"
    yields: ClassVar[str] = "description"
    tokens: ClassVar[tuple[int, int]] = (230, 35)
    answer: ClassVar[type[BaseModel]] = Answer
    words: ClassVar[Mapping[str, int]] = {"description": 100}

    def system(self) -> str:
        return f"""\
You describe a {self.noun} to somebody who does not know it.
You are given a JSON object with what the catalogue says of it. {DATA_IS_DATA}
Requirements:
1. {JSON_ONLY} Its key is "description".
2. "description" says what the {self.noun} is and what it is about, in at most 100 words; "None" if you cannot tell."""

    def data(self, subject: Subject) -> Data:
        return self.item_data(subject)
