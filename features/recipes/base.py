"""What a recipe is: how to ask a language model about a subject and how to read its answer; no network, no disk."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from heapq import nsmallest
from typing import Annotated, ClassVar

from pydantic import BaseModel, Field

from features.recipes.reading import NOTHING, clean, parse, read_text, redact
from schemas.errors import AnswerError
from schemas.records import JSON, EdgeRow, Event, Kind, ProfileRow, Prompt, Subject

Row = ProfileRow | EdgeRow
Positive = Annotated[int, Field(gt=0)]
_JSON = json.JSONEncoder(ensure_ascii=False)


@dataclass(frozen=True)
class Data:
    """The user message of a prompt: what is said of a subject, and whose interactions it was made from."""

    text: str
    source_ids: tuple[str, ...] = ()
    empty: bool = False  # nothing in it but the string None


@dataclass(frozen=True)
class Recipe(ABC):
    """Base of all recipes. The fields are the options of `[[recipes]]` in a run file; a recipe may add its own.

    `noun` names what is recommended (book, film, place). `columns` are the attributes to show (default: all of the
    table). `max_items`, `max_reviews` and `max_characters` (per value) bound a prompt. `ask_without_facts` asks even
    where nothing is known: for recorded answers, whose authors knew more than the catalogue here tells.

    `redacted` is no option of a recipe but `llm.redact` of the run: contact details are taken out of every value, not
    of reviews alone.
    """

    name: ClassVar[str]
    version: ClassVar[str]  # in every key: raise it when the wording changes
    kind: ClassVar[Kind]
    source: ClassVar[str]  # paper and section
    answer: ClassVar[type[BaseModel]]
    needs: ClassVar[tuple[str, ...]] = ()  # recipes whose texts this one shows
    words: ClassVar[Mapping[str, int]] = {}  # word limit per text field of the answer

    noun: str = "item"
    columns: tuple[str, ...] = ()
    max_items: Positive = 6
    max_reviews: Positive = 6
    max_characters: Positive = 1000
    ask_without_facts: bool = False
    redacted: bool = field(default=False, metadata={"option": False})

    @classmethod
    def main_field(cls) -> str:
        """The first field of the answer: the text that recipes which need this one show."""
        return next(iter(cls.answer.model_fields))

    @abstractmethod
    def system(self) -> str:
        """The instruction, equal for all subjects. It says that the data is data."""

    @abstractmethod
    def data(self, subject: Subject) -> Data:
        """The user message; every text of others stands inside JSON."""

    def ask(self, subject: Subject) -> Prompt:
        """The prompt of a subject. Raises AnswerError `nothing_to_ask` where no fact is known: a reject, not a call."""
        data = self.data(subject)
        if data.empty and not self.ask_without_facts:
            raise AnswerError("nothing_to_ask", f"{subject.kind} {subject.id}: no text and no history")
        about = (self.name, self.version, subject.kind, subject.id)
        return Prompt(*about, self.system(), data.text, _schema(self.answer), data.source_ids)

    def read(self, subject: Subject, answer: str, key: str) -> Sequence[Row]:
        """One row per text field of the answer. Raises AnswerError (see `reading`) where a required field is unusable.

        A field with a default is optional: where it cannot be used, its row is left out.
        """
        parsed = parse(answer, self.answer)
        rows = []
        for name, info in self.answer.model_fields.items():
            try:
                text = read_text(name, getattr(parsed, name), self.words.get(name))
            except AnswerError:
                if info.is_required():
                    raise
            else:
                rows.append(ProfileRow(subject.kind, subject.id, self.name, name, text, key))
        return rows

    def show(self, value: str | None) -> str:
        """A value as the prompt shows it: clean, bounded, and the string None where there is none."""
        text = value or ""
        return clean(redact(clean(text)) if self.redacted else text, self.max_characters) or NOTHING

    def review(self, event: Event) -> str:
        """What somebody wrote, never with the contact details in it."""
        return self.show(redact(clean(event.review or "")))  # cleaned first: a hidden mark must not split an address


def sampled(events: Iterable[Event], size: int, subject: Subject) -> list[Event]:
    """At most `size` events of distinct ids, uniformly at random, oldest first.

    The choice is by a hash of both ids: the same every night, independent of other subjects, and one more event changes
    it only if that event is chosen itself.
    """
    latest = {event.id: event for event in events}
    if len(latest) <= size:
        return list(latest.values())
    own = f"{subject.kind}\0{subject.id}\0"
    chosen = set(nsmallest(size, latest, key=lambda id: hashlib.sha256((own + id).encode()).digest()))
    return [event for id, event in latest.items() if id in chosen]


def best_title(attributes: Mapping[str, str]) -> str | None:
    """The title, else the name, else the first text that there is; never an id."""
    return attributes.get("title") or attributes.get("name") or next(iter(attributes.values()), None)


def json_object(value: JSON) -> str:
    """One line of JSON."""
    return _JSON.encode(value)


def json_list(values: Sequence[JSON]) -> str:
    """A JSON list with one value per line."""
    return "[\n" + ",\n".join(json_object(value) for value in values) + "\n]"


@cache
def _schema(answer: type[BaseModel]) -> JSON:
    """The JSON schema without the class's name and docstring: they are for us, and would be part of every key."""
    return {key: value for key, value in answer.model_json_schema().items() if key not in ("title", "description")}
