"""What a prompt offers, and how near each of it lies to the rest of the prompt: the words that they share.

It is what the offline writer ranks by and what the simulator makes probabilities of: no knowledge, only the prompt.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from language_models.facts import Facts
from schemas.records import JSON

Entry = Mapping[str, JSON]
OFFER = "candidate"  # in the label of what is offered: CANDIDATES, or one CANDIDATE
AGAINST = ("dislike", "negative", "unliked", "avoid")  # in the label of what counts against an offer
NAMES = ("option", "letter", "number", "index")  # the field by which an answer names an entry; else its title
RANKINGS = ("ranking", "order")  # arrays in an answer that name everything that is offered, best first
EMPTY = {"none", "null"}  # how a missing value is shown


def offered(facts: Facts) -> dict[str, Entry]:
    """The entries below a label of candidates, else those with an `option`, by name and in the order shown."""
    below = [entry for label, entries in facts.sections for entry in entries if OFFER in label.lower()]
    entries = below or [entry for entry in facts.objects if "option" in entry]
    named = ((_name(entry), entry) for entry in entries)
    return {name: entry for name, entry in named if name}


def ranking(schema: Mapping[str, JSON], inner: Mapping[str, JSON], facts: Facts) -> list[JSON]:
    """An array of the schema, its items as `inner`: all that the prompt offers, nearest first, equals as shown.

    Where the prompt offers none of the options they come as the schema has them; without options there is nothing.
    """
    options = _options(inner, facts)
    entries = offered(facts)
    if not any(str(option) in entries for option in options):
        entries = {str(option): entry for entry in facts.objects for option in options if option in entry.values()}
    near, order = nearness(entries, facts), {name: place for place, name in enumerate(entries)}
    there = [option for option in options if str(option) in near]
    there.sort(key=lambda option: (-near[str(option)], order[str(option)]))
    ordered = there + [option for option in options if str(option) not in near]
    size = max(len(there) or len(ordered), schema.get("minItems", 0))
    return ordered[: schema.get("maxItems", size)][:size]


def nearness(entries: Mapping[str, Entry], facts: Facts) -> dict[str, float]:
    """By name, the share of an entry's words that stand in the rest of the prompt, less that in what is disliked."""
    own = {id(entry) for entry in entries.values()}
    liked, disliked = _rest(facts, own)
    return {name: _share(_words([entry]), liked) - _share(_words([entry]), disliked) for name, entry in entries.items()}


def approval(facts: Facts) -> float:
    """Nearness of the one candidate that a question is about, or of the last entry; above 0 is a yes."""
    entries = list(offered(facts).values()) or list(facts.objects[-1:])
    return next(iter(nearness({"": entries[0]}, facts).values())) if entries else 0.0


def _options(inner: Mapping[str, JSON], facts: Facts) -> list[JSON]:
    """What the items of a ranking may be: an enum, whole numbers of a range, else what the prompt offers."""
    if "enum" in inner:
        return list(inner["enum"])
    if inner.get("type") != "integer":
        return list(offered(facts)) if inner.get("type") == "string" else []
    if {"minimum", "maximum"} <= set(inner):
        return list(range(inner["minimum"], inner["maximum"] + 1))
    return [int(name) for name in offered(facts) if name.isdecimal()]


def _rest(facts: Facts, own: set[int]) -> tuple[set[str], set[str]]:
    """Words of everything else in the prompt: what speaks for an offer, and what speaks against it."""
    for_it: list[Entry] = []
    against: list[Entry] = []
    for label, entries in facts.sections:
        side = against if any(word in label.lower() for word in AGAINST) else for_it
        side += [entry for entry in entries if id(entry) not in own]
    return _words(for_it), _words(against)


def _name(entry: Entry) -> str:
    return str(next((entry[name] for name in (*NAMES, "title", "name") if name in entry), ""))


def _share(words: set[str], known: set[str]) -> float:
    return len(words & known) / (len(words) or 1)


def _words(entries: Iterable[Entry]) -> set[str]:
    text = " ".join(str(value) for entry in entries for value in entry.values())
    return set(re.findall(r"\w{4,}", text.lower())) - EMPTY
