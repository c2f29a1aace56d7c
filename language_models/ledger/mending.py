"""Puts the rows of a salvaged ledger in order: calls without a row, answers without a call, sums, latest answers."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

PAID = "finish_reason NOT LIKE 'error:%' AND finish_reason NOT LIKE 'unknown:%'"
INSTRUCTION = "INSERT OR IGNORE INTO instructions VALUES ('lost', '', '{}')"
TEMPLATE = """
INSERT OR IGNORE INTO templates (engine, endpoint, model, recipe, version, kind, instruction)
VALUES ('', '', ?, ?, '', ?, 'lost')
"""
KNOWN_TEMPLATE = "SELECT max(number) FROM templates WHERE recipe = ? AND kind = ?"
STATE = """
INSERT INTO states (number, key, state, reason, night, holder, reserved_usd, input_tokens, paid, attempts, turn, sample,
  template, id, created) SELECT ?, ?, 'responded', '', max(night), NULL, 0, 0, 0, count(*), 0, 0, ?, ?, min(at)
FROM answers WHERE call = ? HAVING count(*) > 0
"""
TEMPLATE_OF = "UPDATE states SET template = ? WHERE number = ?"
HOMELESS = "SELECT number, key FROM states WHERE template NOT IN (SELECT number FROM templates)"
MODEL_OF = "SELECT model FROM answers WHERE call = ? ORDER BY number DESC LIMIT 1"
COUNT = f"""
CREATE TEMP TABLE kept AS SELECT states.number, paid AS before,
  (SELECT count(*) FROM answers WHERE call = states.number AND {PAID}) AS paid FROM states
"""
# a call without all its answers is read again as far as they go, and asked again where there are none
RECOUNT = """
UPDATE states SET paid = kept.paid, published = NULL, reason = '',
  turn = max(kept.paid - 1, 0), state = CASE WHEN kept.paid > 0 THEN 'responded' ELSE 'planned' END
FROM kept WHERE kept.number = states.number AND kept.paid <> states.paid AND states.state <> 'leased'
"""
RECOUNT_LEASED = """
UPDATE states SET paid = kept.paid, turn = kept.paid FROM kept
WHERE kept.number = states.number AND kept.paid <> states.paid AND states.state = 'leased'
"""
LATEST = f"""
INSERT OR REPLACE INTO latest (recipe, kind, id, call) SELECT recipe, kind, states.id, answers.call
FROM answers JOIN states ON states.number = answers.call JOIN templates ON templates.number = states.template
WHERE {PAID} ORDER BY answers.number
"""
PICO = "CAST(round({usd} * 1e12) AS INTEGER)"
# what was spent for an answer that is lost was spent: of the sum that was kept and the one of the rows, the larger one
BUDGET = f"""
INSERT INTO budget (night, spent, possible, reserved, unknown)
SELECT night, sum(spent), sum(possible), sum(reserved), sum(unknown) FROM (
  SELECT night, CASE WHEN {PAID} THEN {PICO.format(usd="cost_usd")} ELSE 0 END AS spent,
    CASE WHEN finish_reason LIKE 'unknown:%' THEN {PICO.format(usd="cost_usd")} ELSE 0 END AS possible,
    0 AS reserved, finish_reason LIKE 'unknown:%' AS unknown FROM answers
  UNION ALL SELECT night, 0, 0, {PICO.format(usd="reserved_usd")}, 0 FROM states WHERE state = 'leased'
) GROUP BY night
ON CONFLICT (night) DO UPDATE SET spent = max(budget.spent, excluded.spent),
  possible = max(budget.possible, excluded.possible), reserved = excluded.reserved,
  unknown = max(budget.unknown, excluded.unknown)
"""


def mend(damaged: sqlite3.Connection, sound: sqlite3.Connection) -> tuple[int, int]:
    """Complete the rows that were read; returns the calls without a row of their own, and those to be asked again."""
    about = {call: (recipe, kind, id) for recipe, kind, id, call in _from_both_ends(damaged, "latest", "recipe")}
    mended = _missing_calls(damaged, sound, about) + _missing_templates(sound, about)
    sound.execute("DELETE FROM answers WHERE call NOT IN (SELECT number FROM states)")
    sound.execute(COUNT)
    again = sound.execute("SELECT count(*) FROM kept WHERE paid = 0 AND before > 0").fetchone()[0]
    for statement in (RECOUNT, RECOUNT_LEASED, LATEST, BUDGET):
        sound.execute(statement)
    return mended, again


def _missing_calls(
    damaged: sqlite3.Connection, sound: sqlite3.Connection, about: dict[int, tuple[str, str, str]]
) -> int:
    """Calls whose row is gone and whose key stands in the index, as far as it is known whom they are about."""
    known = {row[0] for row in sound.execute("SELECT number FROM states")}
    mended = 0
    for key, number in _from_both_ends(damaged, "states INDEXED BY sqlite_autoindex_states_1", "key", "key, number"):
        if number not in known and number in about:
            recipe, kind, id = about[number]
            template = _template(sound, number, recipe, kind)
            mended += sound.execute(STATE, (number, key, template, id, number)).rowcount
    return mended


def _missing_templates(sound: sqlite3.Connection, about: dict[int, tuple[str, str, str]]) -> int:
    """Calls whose template is gone get one that says what is still known; of whom nothing is known, they go."""
    homeless = sound.execute(HOMELESS).fetchall()
    for number, _ in homeless:
        if number in about:
            recipe, kind, _ = about[number]
            sound.execute(TEMPLATE_OF, (_template(sound, number, recipe, kind), number))
        else:
            sound.execute("DELETE FROM states WHERE number = ?", (number,))
    return sum(number in about for number, _ in homeless)


def _template(sound: sqlite3.Connection, call: int, recipe: str, kind: str) -> int:
    """The latest of the recipe; a new one, with the model that has answered, where none is left."""
    found = sound.execute(KNOWN_TEMPLATE, (recipe, kind)).fetchone()[0]
    if found is not None:
        return int(found)
    row = sound.execute(MODEL_OF, (call,)).fetchone()
    sound.execute(INSTRUCTION)
    sound.execute(TEMPLATE, (row[0] if row else "", recipe, kind))
    return _template(sound, call, recipe, kind)


def _from_both_ends(
    database: sqlite3.Connection, table: str, key: str, columns: str = "*"
) -> Iterator[tuple[Any, ...]]:
    """The rows before the first damage, and those behind the last."""
    for direction in ("ASC", "DESC"):
        try:
            for row in database.execute(f"SELECT {columns} FROM {table} ORDER BY {key} {direction}"):
                yield tuple(row)
            return
        except (sqlite3.DatabaseError, UnicodeDecodeError):
            continue
