"""Writes the answers: the offline writer's from the prompt's own facts, or one short constant per schema."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Literal

from language_models.facts import Facts, read_facts
from language_models.filling import VERDICT, fill
from language_models.likeness import RANKINGS, offered
from language_models.simulator.asked import Asked
from schemas.records import JSON

Answers = Literal["offline", "brief"]
BRIEF = '{"title": "The Sea", "genre": "Novel", "author": "A. Writer"}'
KEYS = ("summarization", "reasoning")  # when nothing says what is asked for


def write(asked: Asked, answers: Answers, biased: bool = False) -> str:
    """The answer's JSON text; with `biased` a ranking is the order in which the options are shown."""
    if answers == "brief":
        return _brief(asked.schema_text if asked.schema else asked.system, asked.schema is not None)
    schema = asked.schema or _guessed(asked.system)
    facts = read_facts(asked.user)
    filled = fill(schema, facts)
    if biased and isinstance(filled, dict):
        filled |= {name: _as_shown(value, facts) for name, value in filled.items() if name.lower() in RANKINGS}
    return json.dumps(filled, ensure_ascii=False)


def _as_shown(ranked: JSON, facts: Facts) -> JSON:
    shown = {name: place for place, name in enumerate(offered(facts))}
    return sorted(ranked, key=lambda option: shown.get(str(option), len(shown)))


@lru_cache(maxsize=1024)
def _brief(described: str, is_schema: bool) -> str:
    schema = json.loads(described) if is_schema else _guessed(described)
    return json.dumps(fill(schema, _brief_facts()), ensure_ascii=False)


@lru_cache(maxsize=1)
def _brief_facts() -> Facts:
    return read_facts(BRIEF)


@lru_cache(maxsize=1024)
def _guessed(system: str) -> Mapping[str, JSON]:
    """A schema for the keys that a system message names: `with the keys "a" and "b"`, or a JSON schema in it."""
    for opening in re.finditer(r"\{", system):
        try:
            found, _ = json.JSONDecoder().raw_decode(system, opening.start())
        except ValueError:
            continue
        if isinstance(found, dict) and isinstance(found.get("properties"), dict):
            return found
    sentence = re.search(r"\bkeys?\b[^.\n]*", system)
    names = re.findall(r'"(\w+)"', sentence[0]) if sentence else []
    return {"type": "object", "properties": {name: _guessed_field(name, system) for name in names or KEYS}}


def _guessed_field(name: str, system: str) -> Mapping[str, JSON]:
    if name.lower() in RANKINGS:
        return {"type": "array", "items": {"type": "string"}}
    verdict = name == "answer" and set(re.findall(r"\b(?:Yes|No)\b", system)) == VERDICT
    return {"enum": sorted(VERDICT, reverse=True)} if verdict else {"type": "string"}
