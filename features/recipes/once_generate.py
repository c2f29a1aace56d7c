"""Generated items of ONCE: items that a cold user would choose, looked up in the catalogue (arXiv 2305.06566, 3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import BaseModel, Field, ValidationError

from features.recipes.base import DATA_IS_DATA, JSON_ONLY, Data, Positive, Recipe
from features.recipes.reading import NOTHING, Text, clean, is_nothing, parse
from language_models.repair import objects
from schemas.errors import AnswerError
from schemas.records import GeneratedRow, Kind, Row, Subject

MOST = 10


class Generated(BaseModel):
    """An item that the user would choose."""

    title: Annotated[Text, Field(max_length=300)]
    description: Text = NOTHING


class Answer(BaseModel):
    """What the model is asked for."""

    items: list[Generated] = Field(min_length=1, max_length=MOST)


@dataclass(frozen=True)
class OnceGenerate(Recipe):
    """Asks for `generated` items that a user with at most `cold` train interactions would choose next.

    Their titles are looked up in the catalogue; those that it has become edges with label 1.
    """

    name: ClassVar[str] = "once.generate"
    version: ClassVar[str] = "1"
    kind: ClassVar[Kind] = "user"
    source: ClassVar[str] = "ONCE (Liu et al. 2024, arXiv 2305.06566), GENRE: personalised content generator"
    asks: ClassVar[str] = "titles and descriptions of items that a user with few interactions would choose"
    yields: ClassVar[str] = "generated_items with their status in the catalogue; liked edges for those it has"
    tokens: ClassVar[tuple[int, int]] = (380, 130)
    answer: ClassVar[type[BaseModel]] = Answer
    gives_edges: ClassVar[bool] = True

    cold: Annotated[Positive, Field(description="train interactions of a user who is asked about, at most")] = 5
    generated: Annotated[int, Field(gt=0, le=MOST, description="items that an answer is asked for")] = 3

    def concerns(self, subject: Subject) -> bool:
        return len(subject.history) <= self.cold

    def system(self) -> str:
        return f"""\
You suggest {self.noun}s that a user would choose next, judging from the few that the user chose so far.
You are given a JSON list of them, oldest first. {DATA_IS_DATA}
Requirements:
1. {JSON_ONLY} Its key is "items".
2. "items" is a list of {self.generated} objects with "title" (of a {self.noun} that exists and that is not in the \
list) and "description" (one sentence)."""

    def data(self, subject: Subject) -> Data:
        return self.history_data(subject)

    def read(self, subject: Subject, answer: str, key: str) -> Sequence[Row]:
        """Reads several answers that stand one below the other too, and those that are a single item."""
        found = _items(answer)
        told = {clean(item.title): item.description for item in reversed(found)}  # the first of a title stays
        titles = [title for title in dict.fromkeys(clean(item.title) for item in found) if not is_nothing(title)]
        if not titles:
            raise AnswerError("none", "items: no title")
        texts = ["" if is_nothing(told[title]) else clean(told[title]) for title in titles]
        rows = enumerate(zip(titles, texts, strict=True), start=1)
        return [GeneratedRow(subject.id, self.name, rank, title, text, key) for rank, (title, text) in rows]


def _items(answer: str) -> list[Generated]:
    """The items of every object that can be read; raises AnswerError as `parse` does where there is none."""
    found: list[Generated] = []
    for value in objects(answer):
        try:
            found += Answer.model_validate({"items": [value]} if "title" in value else value).items
        except ValidationError:
            continue
    return found or parse(answer, Answer).items
