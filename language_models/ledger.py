"""The ledger: every call to a language model by content key, in one SQLite file that several processes may share.

A call is `leased` (intent and reserved cost, committed before it is sent), then `responded` (raw text and usage,
committed before anything parses it), then `parsed` or `rejected`. A failed call (`error:*`) is kept for the record and
asked again.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, Self, TypeVar

from schemas.errors import StoreError
from schemas.records import Completion, Prompt, canonical, sha256

State = Literal["leased", "responded", "parsed", "rejected"]
T = TypeVar("T")

VERSION = 1
LOOKUP = 500  # keys per query, below SQLite's limit on bound values
BUSY_S = 60.0
ANSWERED = "finish_reason IS NOT NULL AND finish_reason NOT LIKE 'error:%'"
COMPLETION = "key, text, finish_reason, input_tokens, output_tokens, cost_usd, model, latency_s"
SCHEMA = """
CREATE TABLE IF NOT EXISTS instructions (id TEXT PRIMARY KEY, system TEXT NOT NULL, answer_schema TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS calls (
  key TEXT PRIMARY KEY, state TEXT NOT NULL, night TEXT NOT NULL, engine TEXT NOT NULL, model TEXT NOT NULL,
  recipe TEXT NOT NULL, version TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL,
  instruction TEXT NOT NULL REFERENCES instructions (id), user TEXT NOT NULL,
  reserved_usd REAL NOT NULL, created REAL NOT NULL, text TEXT, finish_reason TEXT,
  input_tokens INTEGER, output_tokens INTEGER, cost_usd REAL, latency_s REAL, answered REAL
);
CREATE INDEX IF NOT EXISTS calls_by_night ON calls (night, state, reserved_usd, cost_usd);
"""
LEASE = f"""
INSERT INTO calls
  (key, state, night, engine, model, recipe, version, kind, id, instruction, user, reserved_usd, created)
VALUES (?, 'leased', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (key) DO UPDATE SET
  state = 'leased', night = excluded.night, engine = excluded.engine, model = excluded.model,
  recipe = excluded.recipe, version = excluded.version, kind = excluded.kind, id = excluded.id,
  reserved_usd = excluded.reserved_usd, created = excluded.created, finish_reason = NULL
WHERE NOT (calls.{ANSWERED})
"""
RESPOND = """
UPDATE calls SET state = 'responded', text = ?, finish_reason = ?, input_tokens = ?, output_tokens = ?, cost_usd = ?,
  model = ?, latency_s = ?, answered = ? WHERE key = ?
"""


@dataclass(frozen=True, slots=True)
class Lease:
    """The intent to make one call: its key, its prompt, who will be asked, and the most that it may cost."""

    key: str
    prompt: Prompt
    engine: str
    model: str
    reserved_usd: float


class Ledger:
    """Calls by content key. `night` is the scope of the spending cap, usually the date that the run is for.

    The file must be on a local disk (SQLite's write-ahead log). Every method raises StoreError where it cannot be used.
    """

    def __init__(self, path: Path, night: str = "") -> None:
        self.path = path
        self.night = night
        with self._errors():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
            try:
                self._prepare()
            except (sqlite3.Error, StoreError):
                self._db.close()
                raise

    def known(self, keys: Iterable[str]) -> dict[str, Completion]:
        """The answered calls among `keys`; a call that failed or never came back is not known."""
        return self._completions(keys, ANSWERED)

    def responses(self, keys: Iterable[str]) -> dict[str, Completion]:
        """The calls among `keys` that came back, failed ones (`error:*`) included."""
        return self._completions(keys, "finish_reason IS NOT NULL")

    def lease(self, leases: Sequence[Lease], cap_usd: float | None = None) -> list[str]:
        """Record the intent to call, in one transaction, and return the keys that may be sent now.

        Taken from the front while the night's spending and open reservations stay within `cap_usd`. A call that another
        process has had answered meanwhile is left as it is and not returned.
        """
        taken: list[str] = []
        with self._errors(), self._transaction():
            total = self.spent() + self._reserved([lease.key for lease in leases])
            for lease in leases:
                if cap_usd is not None and total + lease.reserved_usd > cap_usd:
                    break
                if self._lease(lease):
                    taken.append(lease.key)
                    total += lease.reserved_usd
        return taken

    def respond(self, completions: Sequence[Completion]) -> None:
        """Keep what came back, raw, in one transaction; the calls must have been leased."""
        now = time.time()
        rows = [
            (c.text, c.finish_reason, c.input_tokens, c.output_tokens, c.cost_usd, c.model, c.latency_s, now, c.key)
            for c in completions
        ]
        with self._errors(), self._transaction():
            for row in rows:
                if self._db.execute(RESPOND, row).rowcount != 1:
                    raise StoreError(f"{self.path}: call {row[-1]}: expected a lease before its answer, found none")

    def mark(self, keys: Iterable[str], state: State) -> None:
        """Record how reading went, in one transaction."""
        with self._errors(), self._transaction():
            self._db.executemany("UPDATE calls SET state = ? WHERE key = ?", [(state, key) for key in keys])

    def release(self, keys: Iterable[str]) -> None:
        """Drop the leases of calls that were certainly not sent; their reservation is free again."""
        with self._errors(), self._transaction():
            self._db.executemany("DELETE FROM calls WHERE key = ? AND state = 'leased'", [(key,) for key in keys])

    def spent(self) -> float:
        """US dollars paid for the answers of this night, by all processes that share the file."""
        return self._sum("SELECT sum(cost_usd) FROM calls WHERE night = ? AND state <> 'leased'")

    def reserved(self) -> float:
        """US dollars reserved for calls of this night that have not come back."""
        return self._sum("SELECT sum(reserved_usd) FROM calls WHERE night = ? AND state = 'leased'")

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _prepare(self) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")  # an acknowledged answer survives a power cut, not only a kill
        found = self._db.execute("PRAGMA user_version").fetchone()[0]
        if found > VERSION:
            raise StoreError(
                f"{self.path}: ledger version {found} is newer than this program's {VERSION}; upgrade loregraph"
            )
        if found < VERSION:
            with self._transaction():
                for statement in SCHEMA.strip().rstrip(";").split(";"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {VERSION}")

    def _lease(self, lease: Lease) -> bool:
        prompt, schema = lease.prompt, canonical(lease.prompt.answer_schema)
        instruction = sha256(prompt.system + "\0" + schema)
        self._db.execute("INSERT OR IGNORE INTO instructions VALUES (?, ?, ?)", (instruction, prompt.system, schema))
        about = (prompt.recipe, prompt.version, prompt.kind, prompt.id, instruction, prompt.user)
        row = (lease.key, self.night, lease.engine, lease.model, *about, lease.reserved_usd, time.time())
        return self._db.execute(LEASE, row).rowcount == 1

    def _reserved(self, keys: Sequence[str]) -> float:
        """Open reservations of the night without those of `keys`, which are about to be replaced."""
        query = "SELECT sum(reserved_usd) FROM calls WHERE night = ? AND state = 'leased' AND key IN "
        return self.reserved() - sum(self._sum(f"{query} ({_marks(own)})", own) for own in chunks(keys, LOOKUP))

    def _completions(self, keys: Iterable[str], where: str) -> dict[str, Completion]:
        found: dict[str, Completion] = {}
        with self._errors():
            for chunk in chunks(keys, LOOKUP):
                query = f"SELECT {COMPLETION} FROM calls WHERE key IN ({_marks(chunk)}) AND {where}"
                found.update((row[0], Completion(*row)) for row in self._db.execute(query, chunk))
        return found

    def _sum(self, query: str, values: Sequence[str] = ()) -> float:
        with self._errors():
            return float(self._db.execute(query, (self.night, *values)).fetchone()[0] or 0.0)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        finally:
            if self._db.in_transaction:
                self._db.rollback()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"{self.path}: ledger: {error}; {_next_step(error)}") from error


def chunks(values: Iterable[T], size: int) -> Iterator[list[T]]:
    """The values in lists of at most `size`."""
    iterator = iter(values)
    while chunk := list(islice(iterator, size)):
        yield chunk


def _marks(values: Sequence[str]) -> str:
    return ", ".join("?" * len(values))


def _next_step(error: Exception) -> str:
    text = str(error)
    if "not a database" in text or "malformed" in text:
        return "move the file away (a new one is started and its answers are asked again) or restore a copy of it"
    if "locked" in text:
        return "another process holds it; let it finish and run again"
    if "full" in text:
        return "free some disk space and run again; every answer so far is kept"
    return "give a work folder that can be written to (`work` in the run file)"
