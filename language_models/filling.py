"""Fills the JSON schema of an answer with facts of the prompt, and with nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from language_models.facts import ROLE_OF, Facts, read_facts
from language_models.first_token import FirstToken
from language_models.likeness import RANKINGS, approval, ranking
from schemas.records import JSON

MOST_WORDS = 60
NOTHING = "None"
REASONS = ("reason", "reasoning", "explanation", "justification", "evidence")
TITLES = ("evidence", "titles", "examples")  # lists of titles of the prompt
NAMES = ("name", "factor", "aspect")  # of an object in a list: what it is about
AGAINST = ("dislike", "disliked", "negative", "least", "worst", "unliked", "avoid")  # the farthest choice is meant
VERDICT = {"Yes", "No"}


def answer_json(schema: Mapping[str, JSON], message: str) -> str:
    """The answer to a user message as JSON text; where a first token is asked for, that token without probabilities."""
    facts = read_facts(message)
    if "first_token" in schema:
        return FirstToken(str(_value(schema, "answer", facts, {}))).to_text()
    return json.dumps(fill(schema, facts), ensure_ascii=False)


def fill(schema: Mapping[str, JSON], facts: Facts) -> JSON:
    """A value of the schema, made from the facts: strings, numbers, booleans, enums, arrays and objects of them."""
    return _value(schema, "", facts, schema.get("$defs", {}))


def sentence(facts: Facts) -> str:
    """What kind of people the facts speak to, or, over several items, what they have in common; under 60 words."""
    several = len(facts.of("title")) > 1
    parts = _shared(facts) if several else _single(facts)
    if not parts:
        return NOTHING
    text = ("Enjoys " if several else "People who enjoy ") + parts
    words = text.split()
    return (text if len(words) <= MOST_WORDS else " ".join(words[:MOST_WORDS]).rstrip(",;")) + "."


def _single(facts: Facts) -> str:
    people, texts = facts.of("person")[:2], facts.of("text")
    interests = [*facts.of("category")[:4], *([f"works by {listed(people)}"] if people else [])]
    interests += [f"the {decade}" for decade in facts.of("time")[:1]]
    titles = [_short(title) for title in facts.of("title")[:1]]
    if not interests:
        return listed([*titles, *texts[:6], *facts.of("other")[:3]])
    details = listed(texts[:5])
    liking = listed(titles) + (f" for its {details}" if details and titles else details)
    return listed(interests) + (f"; likely to like {liking}" if liking else "")


def _shared(facts: Facts) -> str:
    titles = [_short(title) for title in facts.of("title")[:3]]
    people = facts.of("person")[:2]
    own_titles = {title.lower() for title in facts.of("title")}
    texts = [text for text in facts.of("text") if text.lower() not in own_titles]
    interests = [*facts.of("category")[:5], *texts][:9] + [f"works by {person}" for person in people]
    interests += [f"the {decade}" for decade in facts.of("time")[:1]]
    return listed(interests) + (f", with titles such as {listed(titles)}" if interests else listed(titles))


def listed(values: Sequence[str]) -> str:
    """`a, b and c`."""
    return values[0] if len(values) == 1 else ", ".join(values[:-1]) + (f" and {values[-1]}" if values else "")


def _short(title: str) -> str:
    return " ".join(title.split()[:8])


def _value(schema: Mapping[str, JSON], name: str, facts: Facts, defs: Mapping[str, JSON]) -> JSON:
    schema = _resolved(schema, defs)
    if "const" in schema:
        return schema["const"]
    if name == "answer" and set(schema.get("enum", ())) == VERDICT:
        return "Yes" if approval(facts) > 0 else "No"
    if "enum" in schema:
        stays = "default" in schema and name not in facts.fields
        return schema["default"] if stays else _choices(schema["enum"], name, facts)[0]
    if "properties" in schema:
        return {field: _value(inner, field, facts, defs) for field, inner in schema["properties"].items()}
    kind = schema.get("type")
    if kind == "array":
        return _array(schema, name, facts, defs)
    if kind in ("integer", "number"):
        return _number(schema, name, facts)
    if kind == "boolean":
        return name in facts.fields
    return _text(schema, name, facts) if kind == "string" else None


def _resolved(schema: Mapping[str, JSON], defs: Mapping[str, JSON]) -> Mapping[str, JSON]:
    """The schema behind a reference, and of several alternatives the first that is not null."""
    if "$ref" in schema:
        return _resolved(defs[schema["$ref"].rsplit("/", 1)[-1]], defs)
    options = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf") or ()
    for option in options:
        if option.get("type") != "null":
            return _resolved(option, defs)
    return schema


def _array(schema: Mapping[str, JSON], name: str, facts: Facts, defs: Mapping[str, JSON]) -> JSON:
    inner = _resolved(schema.get("items", {"type": "string"}), defs)
    if name.lower() in RANKINGS and (ranked := ranking(schema, inner, facts)):
        return ranked
    most, least = schema.get("maxItems", 5), schema.get("minItems", 0)
    if "enum" in inner:
        return _choices(inner["enum"], name, facts)[: max(least, min(most, 1))]
    if inner.get("type") == "string":
        known = facts.of("title") if name.lower() in TITLES else _named(name, facts)
        return list(known or _salient(facts))[:most]
    told = [(field, _resolved(value, defs)) for field, value in inner.get("properties", {}).items()]
    asked = next(((field, value["enum"]) for field, value in told if "enum" in value and field in NAMES), None)
    if asked is not None:
        return _entries(inner, *asked, facts, defs)[:most]
    if "title" in dict(told) and facts.of("title"):
        titles = facts.of("title")[: max(least, min(most, 3))]
        return [{**_value(inner, name, facts, defs), "title": title} for title in titles]
    return [_value(inner, name, facts, defs) for _ in range(max(1, least))]


def _entries(
    schema: Mapping[str, JSON], field: str, options: Sequence[str], facts: Facts, defs: Mapping[str, JSON]
) -> list[JSON]:
    """An object for every option that the prompt has facts of, about those facts; else for the first, about all."""
    entries = []
    for option in options:
        words = [ROLE_OF[word] for word in re.findall(r"\w+", option.lower()) if word in ROLE_OF]
        values = [value for role in dict.fromkeys(words) for value in facts.of(role)][:5]
        if values:
            entry = _value(schema, option, facts, defs)
            told = {name: listed(values) for name, value in entry.items() if value == sentence(facts)}
            told |= {name: True for name, value in entry.items() if value is False}
            entries.append({**entry, **told, field: option})
    return entries or [{**_value(schema, options[0], facts, defs), field: options[0]}]


def _text(schema: Mapping[str, JSON], name: str, facts: Facts) -> str:
    named = _named(name, facts)
    if name.lower() in REASONS:
        text = _taken_from(facts)
    elif not named and "default" in schema:  # optional, and the prompt says nothing of that name
        text = schema["default"]
    else:
        text = listed(named[:5]) if named else sentence(facts)
    longest = schema.get("maxLength", len(text))
    return text if len(text) <= longest else text[:longest].rsplit(" ", 1)[0]


def _taken_from(facts: Facts) -> str:
    """Which fields of which titles the answer was written from."""
    sources = [field for field, values in facts.fields.items() if values]
    titles = [_short(title) for title in facts.of("title")[:6]]
    return f"Taken from {listed(sources)}{f' of {listed(titles)}' if titles else ''}." if sources else NOTHING


def _named(name: str, facts: Facts) -> tuple[str, ...]:
    """The prompt's own values for a field of that name or role."""
    role = ROLE_OF.get(name.lower())
    return facts.of(role) if role else facts.fields.get(name, ())


def _salient(facts: Facts) -> tuple[str, ...]:
    return tuple(value for role in ("category", "person", "text", "title", "other") for value in facts.of(role))


def _number(schema: Mapping[str, JSON], name: str, facts: Facts) -> float:
    given = next((value for entry in facts.objects if (value := _numeric(entry.get(name))) is not None), None)
    number = float(len(facts.items)) if given is None else given
    number = min(max(number, schema.get("minimum", number)), schema.get("maximum", number))
    return int(number) if schema.get("type") == "integer" else number


def _numeric(value: JSON) -> float | None:
    found = re.fullmatch(r"\s*(-?\d+(?:\.\d+)?)\s*", str(value))
    return float(found[1]) if found else None


def _choices(options: Sequence[JSON], name: str, facts: Facts) -> list[JSON]:
    """The options, nearest first: by words shared between an option's own entry and the other entries of the prompt."""
    sign = 1 if any(word in name.lower() for word in AGAINST) else -1
    there = {str(value) for entry in facts.objects for value in entry.values() if isinstance(value, str | int)}
    # what has no entry of its own is offered to nobody; the nearest and the farthest of equals are not the same
    order = {str(option): sign * -place for place, option in enumerate(options)}
    return sorted(
        options,
        key=lambda option: (
            str(option) not in there,
            sign * _likeness(option, options, facts),
            order[str(option)] if str(option) in there else 0,
        ),
    )


def _likeness(option: JSON, options: Sequence[JSON], facts: Facts) -> float:
    own = [entry for entry in facts.objects if option in entry.values()]
    rest = [entry for entry in facts.objects if not any(other in entry.values() for other in options)]
    words = _words(own) or _words([{"option": option}])
    return len(words & _words(rest)) / (len(words) or 1)


def _words(entries: Sequence[Mapping[str, JSON]]) -> set[str]:
    text = " ".join(str(value) for entry in entries for value in entry.values())
    return set(re.findall(r"\w{4,}", text.lower()))
