"""What is read from the ledger, for any number of keys."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from language_models.ledger.database import Database, Row
from language_models.ledger.types import Asked, Call, State
from schemas.records import Completion, Prompt

SETTLED = """
SELECT key, state FROM states WHERE (state IN ('parsed', 'published')
  OR state = 'rejected' AND paid > 0 AND reason NOT LIKE 'error:%') AND key IN
"""
COMPLETIONS = """
SELECT answers.number, key, text, finish_reason, answers.input_tokens, output_tokens, cost_usd, answers.model,
  latency_s, cached_tokens, answers.turn FROM states CROSS JOIN answers WHERE answers.call = states.number
"""
ANSWERS = f"{COMPLETIONS} AND finish_reason NOT LIKE 'error:%' AND finish_reason NOT LIKE 'unknown:%' AND key IN"
FAILURES = f"""{COMPLETIONS} AND state = 'rejected' AND paid = 0 AND reason LIKE 'error:%'
  AND finish_reason LIKE 'error:%' AND key IN"""
LATEST = """
SELECT latest.id, key, version, engine, templates.model, endpoint, text, instruction
FROM latest JOIN states ON states.number = latest.call JOIN templates ON templates.number = states.template
JOIN prompts ON prompts.number = states.number
WHERE latest.recipe = ? AND latest.kind = ? AND latest.id IN
"""
CALLS = """
SELECT states.number, key, engine, templates.model, reserved_usd, input_tokens, endpoint, answer_schema,
  recipe, version, kind, states.id, system, text, sample, turn, correction, room
FROM states JOIN prompts ON prompts.number = states.number JOIN templates ON templates.number = states.template
JOIN instructions ON instructions.id = templates.instruction
"""


def settled(database: Database, keys: Iterable[str]) -> dict[str, State]:
    return dict(database.lookup(SETTLED, keys))


def answers(database: Database, keys: Iterable[str]) -> dict[str, list[Completion]]:
    found: dict[str, list[Completion]] = {}
    for row in _ordered(database, ANSWERS, keys):
        found.setdefault(row[1], []).append(Completion(*row[1:]))
    return found


def failures(database: Database, keys: Iterable[str]) -> dict[str, Completion]:
    return {row[1]: Completion(*row[1:]) for row in _ordered(database, FAILURES, keys)}


def last_asked(database: Database, recipe: str, kind: str, ids: Iterable[str]) -> dict[str, Asked]:
    return {row[0]: _asked(*row) for row in database.lookup(LATEST, ids, (recipe, kind))}


def calls(database: Database, keys: Iterable[str]) -> list[Call]:
    return [_call(row) for row in _ordered(database, f"{CALLS} WHERE key IN", keys)]


def leased_by(database: Database, holder: str) -> list[Call]:
    return [_call(row) for row in database.query(f"{CALLS} WHERE holder = ? ORDER BY states.number", (holder,))]


def holders(database: Database) -> set[str]:
    """Everybody who has a lease."""
    return {row[0] for row in database.query("SELECT DISTINCT holder FROM states WHERE holder IS NOT NULL")}


def _ordered(database: Database, sql: str, keys: Iterable[str]) -> list[Row]:
    return sorted(database.lookup(sql, dict.fromkeys(keys)), key=lambda row: int(row[0]))


def _asked(*row: str) -> Asked:
    id, key, version, engine, model, endpoint, text, instruction = row
    return Asked(id, key, version, engine, model, endpoint, hashlib.sha256(text.encode()).hexdigest(), instruction)


def _call(row: Row) -> Call:
    _, key, engine, model, reserved_usd, input_tokens, endpoint, schema, *prompt = row
    recipe, version, kind, id, system, user, sample, turn, correction, room = prompt
    asked = Prompt(recipe, version, kind, id, system, user, _schema(schema), (), sample, turn, correction, room)
    return Call(key, asked, engine, model, reserved_usd, input_tokens, endpoint)


@lru_cache(maxsize=64)
def _schema(text: str) -> Mapping[str, Any]:
    loaded: Mapping[str, Any] = json.loads(text)
    return loaded
