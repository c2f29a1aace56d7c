"""Factorised preference reasoning of KAR: what a user likes, factor by factor (arXiv 2306.10933, section 4.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import BaseModel, Field

from features.grounding import Titles
from features.recipes import factored
from features.recipes.base import DATA_IS_DATA, JSON_ONLY, Data, MaxItems, is_empty, section
from features.recipes.reading import NOTHING, Text, parse
from schemas.errors import AnswerError
from schemas.records import Kind, Row, Subject

MOST_EVIDENCE = 5


class Factor(factored.Factor):
    """A preference along one factor."""

    preference: Text
    evidence: list[str] = Field(max_length=MOST_EVIDENCE)
    confidence: Literal["high", "medium", "low"] = "medium"


class Answer(factored.Answer):
    """What the model is asked for."""

    factors: list[Factor]  # type: ignore[assignment]  # narrower


@dataclass(frozen=True)
class KarUser(factored.Factored):
    """Shows a user's history with ratings; a factor counts only where a title of the history speaks for it."""

    name: ClassVar[str] = "kar.user"
    version: ClassVar[str] = "1"
    kind: ClassVar[Kind] = "user"
    source: ClassVar[str] = "KAR (Xi et al. 2024, arXiv 2306.10933), section 4.1: preference reasoning"
    asks: ClassVar[str] = "what the user likes along each factor of the domain, with titles as evidence"
    yields: ClassVar[str] = "knowledge (factors and summary as one text), summary"
    tokens: ClassVar[tuple[int, int]] = (780, 190)
    answer: ClassVar[type[BaseModel]] = Answer
    factor: ClassVar[type[factored.Factor]] = Factor

    max_items: MaxItems = 15

    def system(self) -> str:
        return f"""\
You analyse what a user likes about {self.noun}s, factor by factor.
You are given what is known of the user as a JSON object, where there is anything, and a JSON list of what the user \
chose, oldest first, each with its title and the user's rating. {DATA_IS_DATA}
The factors are: {", ".join(self.known())}.
Requirements:
1. {JSON_ONLY} Its keys are "factors" and "summary".
2. "factors" is a list with an object for each factor that the history says something about: "name" (one of the \
factors), "preference" (what the user likes or dislikes there, in at most {factored.FACTOR_WORDS} words, drawing on \
what you know of the {self.noun}s), "evidence" (at most {MOST_EVIDENCE} titles, copied from the history) and \
"confidence" (high, medium or low).
3. "summary" says what the user likes, in at most {factored.SUMMARY_WORDS} words; "None" if that cannot be told."""

    def data(self, subject: Subject) -> Data:
        events, own = self.chosen(subject), self.facts(subject)
        items = [self.item(event) for event in events]
        empty = is_empty(items)
        for item, event in zip(items, events, strict=True):
            item["rating"] = NOTHING if event.rating is None else f"{event.rating:g}"
        text = section("HISTORY", items)
        text = text if is_empty([own]) else f"{section('USER', own)}\n{text}"
        return Data(text, tuple(event.id for event in events), empty)

    def read(self, subject: Subject, answer: str, key: str) -> Sequence[Row]:
        parsed = parse(answer, Answer)
        titles = self.fitted(subject).titles(subject)
        known = [factor for factor in parsed.factors if self.of_list(factor, factor.preference)]
        proved = {each.name: each.preference for each in known if any(titles.ground(it).id for it in each.evidence)}
        if not proved:
            found = f"{len(parsed.factors)} factors, {len(known)} of the list, none with a title of the history"
            raise AnswerError("invented" if known else "no_factor", found)
        return self.knowledge(subject, proved, parsed.summary, key)

    def titles(self, subject: Subject) -> Titles:
        """The titles of the history as the prompt shows them."""
        shown = ((self.item(event)["title"], event.id) for event in self.chosen(subject))
        return Titles({title: id for title, id in shown if title != NOTHING})
