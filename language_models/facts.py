"""The facts of a prompt: its JSON data as items with titles, categories, people, times and phrases of their texts.

Candidate phrases are maximal runs of content words (Rose et al. 2010, "Automatic keyword extraction from individual
documents", section 1.2).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from schemas.records import JSON

ROLES = {
    "title": ("title", "name"),
    "category": ("genre", "genres", "subject", "subjects", "category", "categories", "tag", "tags", "keywords", "type"),
    "person": (
        "author",
        "authors",
        "director",
        "directors",
        "writer",
        "actors",
        "cast",
        "artist",
        "brand",
        "publisher",
        "creator",
        "creators",
    ),
    "time": ("year", "date", "published", "released", "release_date", "publication_year"),
}
ROLE_OF = {name: role for role, names in ROLES.items() for name in names}
SEPARATORS = {"category": r"[|;,/]", "person": r"[|;]"}  # a comma may stand inside a person's name
LONG = 60  # characters; a longer value is prose, from which phrases are taken
PHRASE_WORDS = 3
_FUNCTION_WORDS = """
a about above after again against all along also although always am among an and another any are around as at away
back be became because become becomes been before behind being below between beyond both but by came can cannot come
could did do does doing done down during each either else enough even ever every few find finds first for found from
full further gave get gets give given gives go goes good got great had has have having he her here hers herself him
himself his how however i if in into is it its itself just keep kind kinds know known last least less let like
likely little long made make makes making many may me might more most much must my myself near need never new next
no none nor not nothing now of off often old on once one only onto or other others our ours out over own part people
per perhaps quite rather read really said same say says see seem seems set several shall she should since so some
soon still such take taken takes tell tells than that the their theirs them themselves then there these they thing
things this those though three through to together too took toward towards two under until up upon us used using
very want wants was way we well went were what when where whether which while who whole whom whose why will with
within without would yet you your yours enjoy enjoys enjoyed enjoying love loves loved especially interested
appreciate appreciates fan fans reader readers viewer viewers user users audience title titles works work written
wrote
"""
STOP_WORDS = frozenset(_FUNCTION_WORDS.split())


@dataclass(frozen=True)
class Facts:
    """What a prompt says: one entry per JSON object, and all of it together, most frequent first."""

    items: tuple[Mapping[str, tuple[str, ...]], ...] = ()  # role -> values, per JSON object
    fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # field name -> values, most frequent first
    sections: tuple[
        tuple[str, tuple[Mapping[str, JSON], ...]], ...
    ] = ()  # label before JSON -> plain values of each of
    # its objects, as they stand in the prompt

    @cached_property
    def objects(self) -> tuple[Mapping[str, JSON], ...]:
        """The plain values of every JSON object, whatever its label."""
        return tuple(entry for _, entries in self.sections for entry in entries)

    def of(self, role: str) -> tuple[str, ...]:
        """Values of a role over all items: in more items first, then as they come within an item."""
        return ranked(item.get(role, ()) for item in self.items)


def read_facts(message: str) -> Facts:
    """The facts in the JSON values of a user message; what is not JSON is a label and is passed over."""
    items: list[dict[str, tuple[str, ...]]] = []
    fields: dict[str, list[tuple[str, ...]]] = {}
    sections = tuple((label, tuple(_objects([value]))) for label, value in _json_values(message))
    for entry in (entry for _, entries in sections for entry in entries):
        item: dict[str, tuple[str, ...]] = {}
        for name, value in entry.items():
            role, values = _values(name, value)
            if values:
                item[role] = item.get(role, ()) + values
                fields.setdefault(name, []).append(values)
        items.append(item)
    known = tuple(item for item in items if item)
    return Facts(known, {name: ranked(values) for name, values in fields.items()}, sections)


def phrases(text: str) -> tuple[str, ...]:
    """Runs of at most three content words, in order, without repeats."""
    found: dict[str, str] = {}
    for clause in re.split(r"[^\w\s'’-]+|\s[-–—]+\s|\n", text):
        for run in _runs(clause.split()):
            found.setdefault(run.lower(), run)
    return tuple(found.values())


def ranked(groups: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """Distinct values of all groups: those in more groups first, then by their place in a group."""
    count: Counter[str] = Counter()
    first: dict[str, tuple[int, int, str]] = {}
    for number, group in enumerate(groups):
        for place, value in enumerate(dict.fromkeys(group)):
            if value.lower() not in first:
                first[value.lower()] = (place, number, value)
            count[value.lower()] += 1
    return tuple(first[value][2] for value in sorted(first, key=lambda value: (-count[value], first[value][:2])))


def _values(name: str, value: JSON) -> tuple[str, tuple[str, ...]]:
    texts = [str(part).strip() for part in (value if isinstance(value, list) else [value])]
    known = [text for text in texts if text and text not in ("None", "null")]
    role = ROLE_OF.get(name.lower(), "text" if any(len(text) > LONG for text in known) else "other")
    if role in SEPARATORS:
        return role, tuple(part.strip() for text in known for part in re.split(SEPARATORS[role], text) if part.strip())
    if role == "time":
        return role, tuple(found for text in known if (found := _decade(text)))
    if role == "text" or name in ("description", "review", "feedback"):
        return "text", tuple(phrase for text in known for phrase in phrases(text))
    return role, tuple(known)


def _decade(text: str) -> str | None:
    year = re.search(r"\d{4}", text)
    return f"{year[0][:3]}0s" if year else None


def _runs(words: list[str]) -> Iterator[str]:
    run: list[str] = []
    for word in [*words, ""]:
        bare = word.strip("'’-_")
        if len(bare) > 1 and bare.lower() not in STOP_WORDS and not bare.isdigit():
            run.append(bare.removesuffix("'s").removesuffix("’s"))
            continue
        if run:
            yield " ".join(run[:PHRASE_WORDS])
        run = []


def _json_values(message: str) -> Iterator[tuple[str, JSON]]:
    """Every JSON value and the last line before it, its label."""
    decoder, start, ended = json.JSONDecoder(), 0, 0
    while (opening := re.compile(r"[\[{]").search(message, start)) is not None:
        try:
            value, start = decoder.raw_decode(message, opening.start())
        except ValueError:
            start = opening.start() + 1
            continue
        yield _label(message[ended : opening.start()]), value
        ended = start


def _label(before: str) -> str:
    return before.strip().rpartition("\n")[2].strip(": ")


def _objects(values: Iterable[JSON]) -> Iterator[Mapping[str, JSON]]:
    """Every JSON object with plain values; a list of plain texts counts as feedback on the object before it."""
    for value in values:
        if isinstance(value, dict):
            yield {name: inner for name, inner in value.items() if not isinstance(inner, dict) and not _nested(inner)}
            yield from _objects(inner for inner in value.values() if isinstance(inner, dict) or _nested(inner))
        elif isinstance(value, list) and _nested(value):
            yield from _objects(value)
        elif isinstance(value, list):
            yield {"feedback": value}


def _nested(value: JSON) -> bool:
    return isinstance(value, list) and any(isinstance(part, dict | list) for part in value)
