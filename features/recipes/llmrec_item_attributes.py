"""Item attributes of LLMRec: what the catalogue does not say of an item (arXiv 2311.00423, section 3.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import BaseModel, Field

from features.recipes.base import DATA_IS_DATA, JSON_ONLY, Data, Recipe
from features.recipes.reading import NOTHING, Text
from schemas.records import Kind, Subject

Value = Annotated[Text, Field(max_length=120)]


class Answer(BaseModel):
    """What the model is asked for; each may be unknown, not all of them."""

    creator: Value = NOTHING
    country: Value = NOTHING
    language: Value = NOTHING


@dataclass(frozen=True)
class LlmrecItemAttributes(Recipe):
    """Shows an item's attributes; a value that the model does not know leaves no row."""

    name: ClassVar[str] = "llmrec.item_attributes"
    version: ClassVar[str] = "1"
    kind: ClassVar[Kind] = "item"
    source: ClassVar[str] = "LLMRec (Wei et al. 2024, arXiv 2311.00423), section 3.3: item attributes"
    asks: ClassVar[str] = "who made the item, in which country and language"
    yields: ClassVar[str] = "creator, country, language"
    tokens: ClassVar[tuple[int, int]] = (290, 20)
    answer: ClassVar[type[BaseModel]] = Answer
    brief: ClassVar[tuple[str, ...]] = ("creator", "country", "language")
    words: ClassVar[Mapping[str, int]] = {"creator": 10, "country": 5, "language": 5}

    def system(self) -> str:
        return f"""\
You know {self.noun}s and give the facts about one that a catalogue lacks.
You are given a JSON object with what the catalogue says of the {self.noun}. {DATA_IS_DATA}
Requirements:
1. {JSON_ONLY} Its keys are "creator", "country" and "language".
2. "creator" is who made the {self.noun} (author, director, artist, brand), in at most 10 words.
3. "country" is where it comes from, "language" its original language.
4. A value that you do not know is "None". Nothing is guessed."""

    def data(self, subject: Subject) -> Data:
        return self.item_data(subject)
