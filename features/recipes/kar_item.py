"""Factual knowledge of KAR: what is known of an item, factor by factor (arXiv 2306.10933, section 4.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from pydantic import BaseModel

from features.recipes import factored
from features.recipes.base import DATA_IS_DATA, JSON_ONLY, Data
from features.recipes.reading import Text, parse
from schemas.records import Kind, Row, Subject


class Factor(factored.Factor):
    """A fact along one factor; `known` lets a model say that it does not know instead of inventing."""

    value: Text
    known: bool


class Answer(factored.Answer):
    """What the model is asked for."""

    factors: list[Factor]  # type: ignore[assignment]  # narrower


@dataclass(frozen=True)
class KarItem(factored.Factored):
    """Shows an item's attributes and asks for facts along the factors; what the model does not know is left out."""

    name: ClassVar[str] = "kar.item"
    version: ClassVar[str] = "1"
    kind: ClassVar[Kind] = "item"
    source: ClassVar[str] = "KAR (Xi et al. 2024, arXiv 2306.10933), section 4.1: item facts"
    asks: ClassVar[str] = "facts about the item along each factor of the domain, and whether they are known"
    yields: ClassVar[str] = "knowledge (factors and summary as one text), summary"
    tokens: ClassVar[tuple[int, int]] = (420, 100)
    answer: ClassVar[type[BaseModel]] = Answer
    factor: ClassVar[type[factored.Factor]] = Factor

    def system(self) -> str:
        return f"""\
You tell what you know about a {self.noun}.
You are given a JSON object with what the catalogue says of it. {DATA_IS_DATA}
The factors are: {", ".join(self.known())}; they are not exhaustive.
Requirements:
1. {JSON_ONLY} Its keys are "factors" and "summary".
2. "factors" is a list of objects: "name" (one of the factors), "value" (the facts about this {self.noun}, in at most \
{factored.FACTOR_WORDS} words) and "known" (false where you are not sure; nothing is made up).
3. "summary" describes the {self.noun}, in at most {factored.SUMMARY_WORDS} words; "None" if you do not know it."""

    def data(self, subject: Subject) -> Data:
        return self.item_data(subject)

    def read(self, subject: Subject, answer: str, key: str) -> Sequence[Row]:
        parsed = parse(answer, Answer)
        known = {each.name: each.value for each in parsed.factors if each.known and self.of_list(each, each.value)}
        return self.knowledge(subject, known, parsed.summary, key)
