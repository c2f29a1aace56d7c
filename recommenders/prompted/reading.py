"""From an answer as it came to the candidates or titles that it names, whatever form a model gave it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from features.grounding import NOWHERE, Grounded, Titles
from language_models.repair import objects
from recommenders.prompted.wording import named
from schemas.errors import AnswerError
from schemas.records import JSON

FIELDS = ("option", "letter", "number", "index", "title", "name")  # of an entry that is an object
_LIST = re.compile(r"\[[^\[\]]*\]")
_LINE = re.compile(r"^[ \t]*(?:\d{1,3}[ \t]*[.):\]]|[-*•])[ \t]*(\S.*?)[ \t]*$", re.MULTILINE)
_OPTION = re.compile(r"\W*(?:(?:option|candidate|item)\W+)?([A-Za-z]|\d{1,4})\W*", re.IGNORECASE)
_LABEL = re.compile(r"\W*([A-Z]|\d{1,4})\s*[.):\-]\s*(?=\S)")


@dataclass(frozen=True, slots=True)
class Ranking:
    """Places in the order shown of the candidates that an answer names, best first, none twice."""

    places: tuple[int, ...]
    grounding: Counter[str] = field(default_factory=Counter)  # status -> entries; `none` are unknown ones
    repeated: int = 0


def entries(text: str, field: str) -> list[str]:
    """The entries of a list in an answer: of an object's field, of a JSON list, or of numbered or bulleted lines.

    Raises AnswerError `empty` or `no_json` where there is none.
    """
    if not text.strip():
        raise AnswerError("empty", "expected a list, found no text")
    for found in (_in_object(text, field), _in_list(text), _in_lines(text)):
        if found:
            return found
    raise AnswerError("no_json", f'expected a JSON object with the list "{field}", found {text[:80]!r}')


def read_ranking(text: str, titles: Sequence[str]) -> Ranking:
    """The candidates that an answer names, by option or title; `titles` in the order shown.

    What was named twice counts where it came first, and what is none of them is counted. Raises AnswerError as
    `entries` does, and `no_candidate` where not one is named.
    """
    known = Candidates(titles)
    grounded = [known.ground(entry) for entry in entries(text, "ranking")]
    places = [int(each.id) for each in grounded if each.id is not None]
    if not places:
        raise AnswerError("no_candidate", f"expected some of {', '.join(known.options)}, found {text[:80]!r}")
    distinct = tuple(dict.fromkeys(places))
    return Ranking(distinct, Counter(each.status for each in grounded), len(places) - len(distinct))


class Candidates:
    """The candidates of one prompt, looked up by what stands for them and by title; ids are places, as text."""

    def __init__(self, titles: Sequence[str]) -> None:
        self.options = named(len(titles))
        self._places = {option: str(place) for place, option in enumerate(self.options)}
        self._titles = Titles({title: str(place) for place, title in enumerate(titles)})

    def ground(self, said: str) -> Grounded:
        """By the option alone, by the title, or by the option before any other words."""
        if (option := _OPTION.fullmatch(said)) and option[1].upper() in self._places:
            return Grounded("index", self._places[option[1].upper()], 1.0)
        if (found := self._titles.ground(said)) is not NOWHERE:
            return found
        label = _LABEL.match(said)
        if label and label[1] in self._places:
            return Grounded("index", self._places[label[1]], 1.0)
        return self._titles.ground(said[label.end() :]) if label else NOWHERE


def _in_object(text: str, field: str) -> list[str]:
    for found in objects(text):
        if field in found and (said := _flat(found[field])):
            return said
    return []


def _in_list(text: str) -> list[str]:
    """The list that the text is, from its first bracket to its last; else the last one without lists inside."""
    start, end = text.find("["), text.rfind("]")
    whole = [text[start : end + 1]] if 0 <= start < end else []
    for found in (*whole, *reversed(_LIST.findall(text))):
        try:
            return _flat(json.loads(found))
        except ValueError:
            continue
    return []


def _in_lines(text: str) -> list[str]:
    return [line.strip("\"'`* ") for line in _LINE.findall(text)]


def _flat(value: JSON) -> list[str]:
    """A list's entries as texts; a text is a list of its lines, or of what its first kind of separator separates."""
    if isinstance(value, str):
        separator = next((sign for sign in ("\n", ";", ">", ",") if sign in value.strip()), "\n")
        return _in_lines(value) or [part.strip() for part in value.split(separator) if part.strip()]
    if not isinstance(value, list):
        return []
    return [said for entry in value if (said := _text(entry))]


def _text(entry: JSON) -> str:
    if isinstance(entry, dict):
        return next((str(entry[name]) for name in FIELDS if entry.get(name) not in (None, "")), "")
    return "" if entry is None or isinstance(entry, list) else str(entry).strip()
