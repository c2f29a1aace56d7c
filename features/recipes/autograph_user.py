"""User preference of AutoGraph: the text that is quantised into latent factors (arXiv 2412.18241, section 3.1)."""

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

    preference: Text


@dataclass(frozen=True)
class AutographUser(Recipe):
    """Shows a user's own attributes and history and asks for what is behind the choices."""

    name: ClassVar[str] = "autograph.user"
    version: ClassVar[str] = "1"
    kind: ClassVar[Kind] = "user"
    source: ClassVar[str] = "AutoGraph (Shan et al. 2025, arXiv 2412.18241): user preference"
    asks: ClassVar[str] = "the latent preferences behind what the user chose"
    yields: ClassVar[str] = "preference"
    tokens: ClassVar[tuple[int, int]] = (480, 60)
    answer: ClassVar[type[BaseModel]] = Answer
    words: ClassVar[Mapping[str, int]] = {"preference": 120}

    max_items: MaxItems = 15

    def system(self) -> str:
        return f"""\
You tell what preferences stand behind the {self.noun}s that a user chose.
You are given what is known of the user as a JSON object, where there is anything, and a JSON list of the \
{self.noun}s, oldest first. {DATA_IS_DATA}
Requirements:
1. {JSON_ONLY} Its key is "preference".
2. "preference" tells the preferences, those between the lines too (mood, style, occasion, what the user avoids), in \
general words that fit users like this one, in at most 120 words; "None" if that cannot be told."""

    def data(self, subject: Subject) -> Data:
        return self.history_data(subject, with_user=True)
