"""From an answer as it came to validated fields, and from any text to text that is safe to pass on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Annotated, TypeVar

from pydantic import BaseModel, BeforeValidator, ValidationError

from language_models.repair import objects
from schemas.errors import AnswerError
from schemas.records import JSON

NOTHING = "None"  # how a recipe lets a model say that it cannot answer, and how a prompt says that a value is missing
REJECT_MARGIN = 2  # an answer slightly over its word limit is kept, one over twice the limit is not
A = TypeVar("A", bound=BaseModel)


def _as_text(value: object) -> object:
    """What models write for a text now and then: null, or a list of texts."""
    if value is None:
        return NOTHING
    return "; ".join(map(str, value)) if isinstance(value, list) else value


Text = Annotated[str, BeforeValidator(_as_text)]

_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # control characters and lone surrogates
_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]")  # they can hide text from a reader

_URL = r"""(?:(?:https?|ftp)://|\bwww\.)(?:\([^\s()<>"]*\)|[^\s()<>"“”„«»‹›\[\]{}|\\^`])+(?<![.,;:!?'’…])"""
_PAGE = (
    r"(?<![\w.@/-])(?:[a-z0-9-]+\.)+(?:com|org|net|info|edu|gov|co|io|me|be|ly|gl|tv|de|fr|uk|eu)/[\w./?=&%#~+-]*[\w/]"
)
_E_MAIL = r"(?:mailto:)?(?<![\w.+%-])[\w.+%-]++@(?:[\w-]++\.)+[^\W\d_]{2,}"
# Each shape of number has separators where people put them. What follows the same shapes is left alone: numbers inside
# longer ones (ISBN 978-3-16-148410-0, timestamps), years and ranges of them, prices and counts.
_PHONES = (
    r"(?:tel:)?\+[1-9](?:[ ().\-/]{0,2}\d){7,14}",  # +49 30 1234567, +1 (555) 123-4567
    r"00[1-9](?:[ ()\-/]{0,2}\d){8,13}",  # 0049 30 1234567
    r"\((?!(?:19|20)\d\d\))0?\d{2,4}\) ?[.\-/]?\d{3,4}(?:[ .\-]?\d{2,4}){1,2}",  # (555) 123-4567, (030) 1234 567
    r"(?:1[ .\-])?[2-9]\d{2}(?P<between>[ .\-])\d{3}(?P=between)\d{4}",  # 555-123-4567, 1-800-555-1234
    r"[2-9]\d{2}-\d{4}",  # 555-1234
    r"0[1-9]\d{0,4}[ /\-]\d{3,8}(?:[ \-]\d{2,6}){0,3}",  # 030/1234567, 020 7946 0958
    r"0[1-9](?:[ .\-]\d{2}){4}",  # 01 23 45 67 89
    r"[02-9]\d{9}|0\d{10}",  # 5551234567, 07911123456
)
_PHONE = rf"(?<![\w.,:/$€£#-])(?<![$€£#] )(?:{'|'.join(_PHONES)})(?![\w]|[-.,:/]\d)"
_CONTACT = re.compile(f"{_URL}|{_E_MAIL}|{_PAGE}|(?P<phone>{_PHONE})", re.IGNORECASE)


def clean(text: str, longest: int | None = None) -> str:
    """One line of the text without control characters, cut at a word to `longest` characters."""
    if text.isprintable() and "  " not in text:  # most texts, and the plan of a night looks at all of them
        line = text.strip()
    else:
        line = " ".join(_BIDI.sub("", _UNSAFE.sub(" ", text)).split())
    if longest is None or len(line) <= longest:
        return line
    return (line[:longest].rsplit(" ", 1)[0] or line[:longest]) + "…"


def redact(text: str) -> str:
    """The text without web addresses, e-mail addresses and telephone numbers of those who wrote it.

    An ISBN stays, though ten bare digits of one cannot always be told from a telephone number.
    """
    return _CONTACT.sub(_redacted, text)


def _redacted(found: re.Match[str]) -> str:
    return found[0] if found["phone"] and _is_isbn(found["phone"]) else "…"


def _is_isbn(digits: str) -> bool:
    """Whether ten digits with nothing between them have the check digit of an ISBN-10."""
    bare = len(digits) == 10 and digits.isdigit()
    return bare and sum(place * int(digit) for place, digit in zip(range(10, 0, -1), digits, strict=True)) % 11 == 0


def parse(answer: str, model: type[A]) -> A:
    """The first JSON object of an answer that fits the model; where none does as it stands, the first repaired one.

    Raises AnswerError: `empty` (no text at all), `no_json` (no object in it), `schema` (fields missing or of the wrong
    type).
    """
    if not answer.strip():
        raise AnswerError("empty", "expected a JSON object, found no text")
    wrong: ValidationError | None = None
    schema = _schema(model)
    for found in objects(answer):
        try:
            return model.model_validate(_spelled(found, schema, schema.get("$defs", {})))
        except ValidationError as error:
            wrong = wrong or error
    if wrong is None:
        raise AnswerError("no_json", f"expected a JSON object, found {answer[:80]!r}")
    first = wrong.errors()[0]
    raise AnswerError("schema", f"{'.'.join(map(str, first['loc'])) or 'answer'}: {first['msg']}")


def is_nothing(text: str) -> bool:
    """Whether a value says nothing, or that it cannot be told."""
    return clean(text).strip(" .\"'").lower() in ("", NOTHING.lower())


def _spelled(value: JSON, schema: Mapping[str, JSON], defs: Mapping[str, JSON]) -> JSON:
    """The value with the choices of an enum spelled as the schema spells them: models write High for high."""
    schema = defs[schema["$ref"].rsplit("/", 1)[-1]] if "$ref" in schema else schema
    if isinstance(value, dict):
        inner = schema.get("properties", {})
        return {name: _spelled(each, inner.get(name, {}), defs) for name, each in value.items()}
    if isinstance(value, list):
        return [_spelled(each, schema.get("items", {}), defs) for each in value]
    said = NOTHING if value is None else value
    options = [option for option in schema.get("enum", ()) if isinstance(said, str) and isinstance(option, str)]
    return next((option for option in options if option.lower() == str(said).strip().lower()), value)


@cache
def _schema(model: type[BaseModel]) -> Mapping[str, JSON]:
    return model.model_json_schema()


def read_text(field: str, text: str, words: int | None) -> str:
    """A field of an answer as clean text.

    Raises AnswerError: `empty`, `none` (the model said that it cannot tell), `too_long` (over twice the word limit).
    """
    line = clean(text)
    if not line:
        raise AnswerError("empty", f"{field} is empty")
    if is_nothing(line):
        raise AnswerError("none", f"{field} is None")
    count = len(line.split())
    if words is not None and count > REJECT_MARGIN * words:
        raise AnswerError("too_long", f"{field}: expected at most {words} words, found {count}")
    return line
