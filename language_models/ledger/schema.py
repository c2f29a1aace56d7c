"""The ledger's tables, for any SQL database, and how older ones are brought up to date.

Money in `budget` is counted in whole picodollars, so that sums are exact in any order; a row's own cost is kept as it
came. `states` is narrow, because every call passes through it five times; texts are written once. `calls` shows all.
"""

from __future__ import annotations

from language_models.ledger.database import Database
from language_models.ledger.migration import MIGRATIONS
from schemas.errors import StoreError

VERSION = 2
TABLES = """
CREATE TABLE instructions (id TEXT PRIMARY KEY, system TEXT NOT NULL, answer_schema TEXT NOT NULL);
CREATE TABLE templates (
  number {number}, engine TEXT NOT NULL, endpoint TEXT NOT NULL, model TEXT NOT NULL, recipe TEXT NOT NULL,
  version TEXT NOT NULL, kind TEXT NOT NULL, instruction TEXT NOT NULL REFERENCES instructions (id),
  UNIQUE (recipe, version, kind, model, engine, endpoint, instruction)
);
CREATE TABLE states (
  number {number}, key TEXT NOT NULL UNIQUE, state TEXT NOT NULL, reason TEXT NOT NULL, night TEXT NOT NULL,
  holder TEXT, reserved_usd DOUBLE PRECISION NOT NULL, input_tokens BIGINT NOT NULL, paid BIGINT NOT NULL,
  attempts BIGINT NOT NULL, turn BIGINT NOT NULL, sample BIGINT NOT NULL, template BIGINT NOT NULL,
  id TEXT NOT NULL, created DOUBLE PRECISION NOT NULL, published BIGINT
);
CREATE INDEX states_by_holder ON states (holder) WHERE holder IS NOT NULL;
CREATE TABLE prompts (
  number {number}, text TEXT NOT NULL, correction TEXT NOT NULL, room BIGINT NOT NULL
);
CREATE TABLE answers (
  number {serial}, call BIGINT NOT NULL, turn BIGINT NOT NULL, night TEXT NOT NULL, finish_reason TEXT NOT NULL,
  text TEXT NOT NULL, input_tokens BIGINT NOT NULL, output_tokens BIGINT NOT NULL, cached_tokens BIGINT NOT NULL,
  cost_usd DOUBLE PRECISION NOT NULL, model TEXT NOT NULL, latency_s DOUBLE PRECISION NOT NULL,
  at DOUBLE PRECISION NOT NULL
);
CREATE INDEX answers_by_call ON answers (call);
CREATE TABLE latest (
  recipe TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL, call BIGINT NOT NULL, PRIMARY KEY (recipe, kind, id)
){keyed};
CREATE TABLE budget (
  night TEXT PRIMARY KEY, spent BIGINT NOT NULL, possible BIGINT NOT NULL, reserved BIGINT NOT NULL,
  unknown BIGINT NOT NULL
);
CREATE TABLE calibration (
  model TEXT NOT NULL, recipe TEXT NOT NULL, estimated BIGINT NOT NULL, counted BIGINT NOT NULL,
  PRIMARY KEY (model, recipe)
);
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE batches (
  number {number}, id TEXT NOT NULL UNIQUE, state TEXT NOT NULL, endpoint TEXT NOT NULL, model TEXT NOT NULL,
  recipe TEXT NOT NULL, night TEXT NOT NULL, calls BIGINT NOT NULL, file_id TEXT, provider_id TEXT,
  submitted_at DOUBLE PRECISION, detail TEXT NOT NULL
);
CREATE VIEW calls AS SELECT
  states.key, state, reason, night, engine, endpoint, model, recipe, version, kind, states.id, sample, turn, system,
  answer_schema, prompts.text AS "user", correction, room, paid, attempts, reserved_usd, input_tokens, holder,
  published, created
FROM states JOIN prompts ON prompts.number = states.number JOIN templates ON templates.number = states.template
JOIN instructions ON instructions.id = templates.instruction;
"""


def prepare(database: Database) -> None:
    """Create the tables, or bring older ones up to date, in one transaction. Raises StoreError for newer ones."""
    if _version(database) == VERSION:
        return
    with database.transaction():
        found = _version(database)  # another process may have been faster
        if found == VERSION:
            return
        before, after = MIGRATIONS[found]
        before(database)
        database.create(TABLES.strip().rstrip(";").split(";"), VERSION)
        after(database)


def _version(database: Database) -> int:
    found = database.version()
    if found > VERSION:
        raise StoreError(
            f"{database.where}: ledger version {found} is newer than this program's {VERSION}; upgrade loregraph"
        )
    return found
