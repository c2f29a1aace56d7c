"""Item knowledge of AutoGraph: the text that is quantised into latent factors (arXiv 2412.18241, section 3.1)."""

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

    knowledge: Text


@dataclass(frozen=True)
class AutographItem(Recipe):
    """Shows an item's attributes and asks for what is behind them."""

    name: ClassVar[str] = "autograph.item"
    version: ClassVar[str] = "1"
    kind: ClassVar[Kind] = "item"
    source: ClassVar[str] = "AutoGraph (Shan et al. 2025, arXiv 2412.18241): item knowledge"
    asks: ClassVar[str] = "the latent qualities that people choose the item for"
    yields: ClassVar[str] = "knowledge"
    tokens: ClassVar[tuple[int, int]] = (250, 50)
    answer: ClassVar[type[BaseModel]] = Answer
    words: ClassVar[Mapping[str, int]] = {"knowledge": 120}

    def system(self) -> str:
        return f"""\
You name the qualities of a {self.noun} that people choose it for.
You are given a JSON object with what the catalogue says of it. {DATA_IS_DATA}
Requirements:
1. {JSON_ONLY} Its key is "knowledge".
2. "knowledge" tells the qualities that set this {self.noun} apart, those between the lines too (mood, style, \
occasion, audience, what it is like), in general words that fit similar {self.noun}s, in at most 120 words; \
"None" if you cannot tell."""

    def data(self, subject: Subject) -> Data:
        return self.item_data(subject)
