"""Ledgers of earlier versions, brought up to date in place: every answer, cost and state is carried over."""

from __future__ import annotations

from collections.abc import Callable

from language_models.ledger.database import Database

Step = Callable[[Database], None]
ANSWERED = "finish_reason IS NOT NULL"
PAID = f"{ANSWERED} AND finish_reason NOT LIKE 'error:%'"
FAILED = "finish_reason LIKE 'error:%'"
ASIDE = (
    "ALTER TABLE calls RENAME TO calls_1",
    "ALTER TABLE instructions RENAME TO instructions_1",
    "DROP INDEX calls_by_night",
)
CARRY = (
    "INSERT INTO instructions SELECT id, system, answer_schema FROM instructions_1",
    """INSERT INTO templates (engine, endpoint, model, recipe, version, kind, instruction)
    SELECT DISTINCT engine, '', model, recipe, version, kind, instruction FROM calls_1""",
    f"""INSERT INTO states
    SELECT calls_1.rowid, key, CASE WHEN {FAILED} THEN 'rejected' WHEN {PAID} THEN state ELSE 'planned' END,
      CASE WHEN {FAILED} THEN finish_reason ELSE '' END, night, NULL, reserved_usd, 0, coalesce({PAID}, 0), 1, 0, 0,
      templates.number, calls_1.id, created, NULL
    FROM calls_1 JOIN templates USING (engine, model, recipe, version, kind, instruction)""",
    "INSERT INTO prompts SELECT rowid, user, '', 1 FROM calls_1",
    f"""INSERT INTO answers (call, turn, night, finish_reason, text, input_tokens, output_tokens, cached_tokens,
      cost_usd, model, latency_s, at)
    SELECT rowid, 0, night, finish_reason, text, input_tokens, output_tokens, 0, cost_usd, model, latency_s, answered
    FROM calls_1 WHERE {ANSWERED} ORDER BY answered, rowid""",
    # whether a lease that was open was paid, nobody knows
    """INSERT INTO answers (call, turn, night, finish_reason, text, input_tokens, output_tokens, cached_tokens,
      cost_usd, model, latency_s, at)
    SELECT rowid, 0, night, 'unknown:migrated', '', 0, 0, 0, reserved_usd, model, 0.0, created
    FROM calls_1 WHERE finish_reason IS NULL""",
    f"""INSERT INTO latest SELECT recipe, kind, id, max(rowid) FROM calls_1 WHERE {PAID} GROUP BY recipe, kind, id""",
    f"""INSERT INTO budget SELECT night,
      sum(CASE WHEN {PAID} THEN CAST(round(cost_usd * 1e12) AS INTEGER) ELSE 0 END),
      sum(CASE WHEN {ANSWERED} THEN 0 ELSE CAST(round(reserved_usd * 1e12) AS INTEGER) END), 0,
      sum(finish_reason IS NULL)
    FROM calls_1 GROUP BY night""",
    "DROP TABLE calls_1",
    "DROP TABLE instructions_1",
)


def _nothing(database: Database) -> None:
    """A new ledger."""


def _set_aside(database: Database) -> None:
    for statement in ASIDE:
        database.execute(statement)


def _carry_over(database: Database) -> None:
    for statement in CARRY:
        database.execute(statement)


# version found -> what is done before the tables are made, and after
MIGRATIONS: dict[int, tuple[Step, Step]] = {0: (_nothing, _nothing), 1: (_set_aside, _carry_over)}
