"""What is read from the ledger, for any number of keys."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol
from urllib.parse import urlsplit, urlunsplit

from language_models.ledger.database import LOOKUP, Database, Row
from language_models.ledger.types import Account, Asked, Call, State
from schemas.chunks import chunks
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
ACCOUNTS = """
SELECT key, recipe, version, kind, states.id, engine, endpoint, templates.model, text, correction, created, instruction
FROM states JOIN prompts ON prompts.number = states.number JOIN templates ON templates.number = states.template
WHERE key IN
"""
INSTRUCTIONS = "SELECT id, system, answer_schema FROM instructions WHERE id IN"
PAID = """
SELECT answers.number, key, text, finish_reason, answers.input_tokens, output_tokens, cost_usd, answers.model, at
FROM states CROSS JOIN answers WHERE answers.call = states.number AND finish_reason NOT LIKE 'error:%'
  AND finish_reason NOT LIKE 'unknown:%' AND key IN
"""


class Looked(Protocol):
    """Where rows are looked up by key."""

    def lookup(self, sql: str, keys: Iterable[str], values: Sequence[object] = ()) -> Iterator[Row]:
        """As of a Database."""
        ...


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


def accounts(database: Looked, keys: Iterable[str]) -> Iterator[Account]:
    """Some hundred calls are in memory at a time, and every instruction once."""
    instructions: dict[str, tuple[str, str]] = {}
    for some in chunks(dict.fromkeys(keys), LOOKUP):
        known = list(database.lookup(ACCOUNTS, some))
        new = {row[-1] for row in known} - set(instructions)
        instructions |= {id: (system, schema) for id, system, schema in database.lookup(INSTRUCTIONS, sorted(new))}
        paid: dict[str, list[Row]] = {}
        for row in _ordered(database, PAID, some):
            paid.setdefault(row[1], []).append(row[2:])
        yield from (_account(row, instructions[row[-1]], paid.get(row[0], [])) for row in known)


def leased_by(database: Database, holder: str) -> list[Call]:
    return [_call(row) for row in database.query(f"{CALLS} WHERE holder = ? ORDER BY states.number", (holder,))]


def holders(database: Database) -> set[str]:
    """Everybody who has a lease."""
    return {row[0] for row in database.query("SELECT DISTINCT holder FROM states WHERE holder IS NOT NULL")}


def _ordered(database: Looked, sql: str, keys: Iterable[str]) -> list[Row]:
    return sorted(database.lookup(sql, dict.fromkeys(keys)), key=lambda row: int(row[0]))


def _asked(*row: str) -> Asked:
    id, key, version, engine, model, endpoint, text, instruction = row
    return Asked(id, key, version, engine, model, endpoint, hashlib.sha256(text.encode()).hexdigest(), instruction)


def _account(row: Row, instruction: tuple[str, str], paid: Sequence[Row]) -> Account:
    key, recipe, version, kind, id, engine, endpoint, model, user, correction, asked_at, _ = row
    texts, finish, input_tokens, output_tokens, dollars, by, at = zip(*paid, strict=True) if paid else [()] * 7
    return Account(
        key=key,
        recipe=recipe,
        version=version,
        kind=kind,
        id=id,
        engine=engine,
        endpoint=_shown(endpoint),
        model=model,
        system=instruction[0],
        user=user,
        answer_schema=instruction[1],
        correction=correction or None,
        answers=texts,
        finish_reason=finish[-1] if finish else None,
        answered_by=by[-1] if by else None,
        turns=len(texts),
        input_tokens=sum(input_tokens),
        output_tokens=sum(output_tokens),
        cost_usd=math.fsum(dollars),
        asked_at=asked_at,
        answered_at=at[-1] if at else None,
    )


@lru_cache(maxsize=64)
def _shown(endpoint: str) -> str | None:
    """An endpoint without user, password and options; None where there is none."""
    parts = urlsplit(endpoint)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", "")) or None


def _call(row: Row) -> Call:
    _, key, engine, model, reserved_usd, input_tokens, endpoint, schema, *prompt = row
    recipe, version, kind, id, system, user, sample, turn, correction, room = prompt
    asked = Prompt(recipe, version, kind, id, system, user, _schema(schema), (), sample, turn, correction, room)
    return Call(key, asked, engine, model, reserved_usd, input_tokens, endpoint)


@lru_cache(maxsize=64)
def _schema(text: str) -> Mapping[str, Any]:
    loaded: Mapping[str, Any] = json.loads(text)
    return loaded
