"""From an answer as it came to validated fields, and from any text to text that is safe to pass on."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from typing import Annotated, TypeVar

from pydantic import BaseModel, BeforeValidator, ValidationError

from schemas.errors import AnswerError

NOTHING = "None"  # how a recipe lets a model say that it cannot answer, and how a prompt says that a value is missing
REJECT_MARGIN = 2  # an answer slightly over its word limit is kept, one over twice the limit is not
A = TypeVar("A", bound=BaseModel)


def _as_text(value: object) -> object:
    """What models write for a text now and then: null, or a list of texts."""
    if value is None:
        return NOTHING
    return "; ".join(map(str, value)) if isinstance(value, list) else value


Text = Annotated[str, BeforeValidator(_as_text)]

_UNSAFE = {"Cc", "Cs"}  # control characters and lone surrogates
_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # they can hide text from a reader
_CONTACT = re.compile(r"(?:https?://|www\.)\S+|\S+@\S+\.\w+|\+?\d(?:[ ()/-]{0,2}\d){8,}")


def clean(text: str, longest: int | None = None) -> str:
    """One line of the text without control characters, cut at a word to `longest` characters."""
    safe = "".join(" " if unicodedata.category(c) in _UNSAFE else "" if c in _BIDI else c for c in text)
    line = " ".join(safe.split())
    if longest is None or len(line) <= longest:
        return line
    return (line[:longest].rsplit(" ", 1)[0] or line[:longest]) + "…"


def redact(text: str) -> str:
    """The text without web addresses, e-mail addresses and telephone numbers of those who wrote it."""
    return _CONTACT.sub("…", text)


def parse(answer: str, model: type[A]) -> A:
    """The first JSON object of an answer that fits the model.

    Raises AnswerError: `empty` (no text at all), `no_json` (no object in it), `schema` (fields missing or of the wrong
    type).
    """
    if not answer.strip():
        raise AnswerError("empty", "expected a JSON object, found no text")
    wrong: ValidationError | None = None
    for found in _objects(answer):
        try:
            return model.model_validate(found)
        except ValidationError as error:
            wrong = wrong or error
    if wrong is None:
        raise AnswerError("no_json", f"expected a JSON object, found {answer[:80]!r}")
    first = wrong.errors()[0]
    raise AnswerError("schema", f"{'.'.join(map(str, first['loc'])) or 'answer'}: {first['msg']}")


def read_text(field: str, text: str, words: int | None) -> str:
    """A field of an answer as clean text.

    Raises AnswerError: `empty`, `none` (the model said that it cannot tell), `too_long` (over twice the word limit).
    """
    line = clean(text)
    if not line:
        raise AnswerError("empty", f"{field} is empty")
    if line.strip(" .\"'").lower() == NOTHING.lower():
        raise AnswerError("none", f"{field} is None")
    count = len(line.split())
    if words is not None and count > REJECT_MARGIN * words:
        raise AnswerError("too_long", f"{field}: expected at most {words} words, found {count}")
    return line


def _objects(answer: str) -> Iterator[dict[str, object]]:
    """The balanced JSON objects of a text in order; fences and words around them are passed over."""
    decoder, start = json.JSONDecoder(strict=False), 0
    while (opening := answer.find("{", start)) >= 0:
        try:
            value, start = decoder.raw_decode(answer, opening)
        except (ValueError, RecursionError):
            start = opening + 1
        else:
            yield value
