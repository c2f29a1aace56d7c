"""A ledger in a PostgreSQL database, shared by workers on several hosts. Needs the extra `postgres` (psycopg 3)."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, TypeVar

from language_models.ledger.address import Address
from language_models.ledger.database import BUSY_S, Database, Row
from schemas.errors import StoreError

try:
    import psycopg
except ImportError as missing:
    raise StoreError("ledger: a postgresql:// address needs psycopg; pip install 'loregraph[postgres]'") from missing

T = TypeVar("T")

SCHEMA = "loregraph"
WRITERS = 0x10_7E_67_A9  # advisory lock of whoever's turn it is to write
RECONNECT_S = 60.0  # how long a server may be away, such as for a restart
PAUSES_S = (0.1, 0.3, 1.0, 3.0)
DIALECT = {
    "number": "BIGINT PRIMARY KEY",
    "serial": "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    "keyed": "",
}
SETTINGS = (
    f"SET search_path = {SCHEMA}",
    "SET synchronous_commit = on",
    f"SET lock_timeout = '{BUSY_S:.0f}s'",
    f"SET idle_in_transaction_session_timeout = '{BUSY_S:.0f}s'",  # a stalled worker does not stop the others
    "SET tcp_keepalives_idle = 30",  # a host that went without a word is noticed within a minute
    "SET tcp_keepalives_interval = 10",
    "SET tcp_keepalives_count = 3",
)
TURN = "SELECT pg_advisory_xact_lock(%s), pg_current_xact_id()::text"
PRESENT = """
SELECT classid::bigint << 32 | objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
# our connection of before may still stand at the server, which has not noticed that it is gone
END_PREDECESSOR = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE application_name = %s AND pid <> pg_backend_pid() AND datname = current_database()
"""
NEXT_STEPS = {
    "28": "check the user and password of the address (`llm.ledger` in the run file)",
    "3D": "create the database, or correct the address (`llm.ledger` in the run file)",
    "42501": "grant the user CREATE on the database, so that it can make the ledger's tables",
    "25006": "give the address of a server that can be written to",
    "53100": "free some disk space on the server and run again; every answer so far is kept",
    "53300": "let the server take more connections, or run fewer workers",
    "55P03": "another worker holds it; let it finish and run again",
    "XX001": "restore the database from a copy; a page of it is damaged",
    "XX002": "rebuild the index (REINDEX); a page of it is damaged",
}
CONNECTING = (  # these errors come without a code
    ("authentication failed", NEXT_STEPS["28"]),
    ('role "', NEXT_STEPS["28"]),
    ('database "', NEXT_STEPS["3D"]),
    ("too many", NEXT_STEPS["53300"]),
)
UNREACHABLE = "start the server, or check the address (`llm.ledger` in the run file); every answer so far is kept"


class PostgresDatabase(Database):
    """One connection writes and holds an advisory lock by which the others see that we live; another reads.

    A connection that is lost is made again. What a lost transaction had done is lost with it and said; a commit whose
    confirmation got lost is looked up.
    """

    failures = (psycopg.Error,)
    refusals = (psycopg.IntegrityError, psycopg.DataError)

    def __init__(self, address: str) -> None:
        self._address = Address.parse(address)
        super().__init__(self._address.shown)
        self._reading = threading.Lock()
        self._transaction_id = ""
        self._ended = False
        with self.errors():
            self._writes = self._connect(self.worker)
            self._announce()
            self._reads = self._connect(f"{self.worker} reads")

    def version(self) -> int:
        if self.query("SELECT to_regclass(?)", (f"{SCHEMA}.ledger_version",))[0][0] is None:
            return 0
        return int(self.query("SELECT version FROM ledger_version")[0][0])

    def create(self, statements: Iterable[str], version: int) -> None:
        self.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
        for statement in statements:
            self.execute(statement.format(**DIALECT))
        self.execute("CREATE TABLE ledger_version (version BIGINT NOT NULL)")
        self.execute("INSERT INTO ledger_version VALUES (?)", (version,))

    def join(self) -> None:
        """Nothing to do: the connection that writes is our presence."""

    def alive(self, names: Iterable[str]) -> set[str]:
        if not (tokens := {_token(name): name for name in names}):
            return set()
        return {tokens[token] for (token,) in self.query(PRESENT) if token in tokens}

    def tidy(self, holders: set[str]) -> None:
        """Nothing to do: the server forgets the locks of the dead."""

    def _close(self) -> None:
        with self._reading:
            self._ended = True
            with suppress(psycopg.Error):  # else the server would see it a moment later
                self._writes.execute("SELECT pg_advisory_unlock(%s)", (_token(self.worker),))
            self._reads.close()
            self._writes.close()

    def cause(self, error: Exception) -> str:
        return self._address.scrub(" ".join(str(error).split()))

    def next_step(self, error: Exception) -> str:
        if self._ended:
            return "open it again"
        state = getattr(error, "sqlstate", None) or ""
        for known, step in NEXT_STEPS.items():
            if state.startswith(known):
                return step
        return next((step for sign, step in CONNECTING if sign in str(error)), UNREACHABLE)

    def passing(self, error: Exception) -> bool:
        """A lost connection; a statement of the next transaction goes to a new one."""
        state = getattr(error, "sqlstate", None) or "08"
        return isinstance(error, psycopg.OperationalError) and state.startswith(("08", "25P03", "57P0"))

    # ---- connections

    def _connect(self, name: str) -> psycopg.Connection[Row]:
        connection: psycopg.Connection[Row] = psycopg.connect(
            self._address.full,
            autocommit=True,
            application_name=name,
            connect_timeout=10,
            keepalives_idle=30,
            tcp_user_timeout=int(BUSY_S * 1000),
        )
        for setting in SETTINGS:
            connection.execute(setting)
        return connection

    def _announce(self) -> None:
        """Show that we live; a predecessor of this connection may not have noticed that it has ended."""
        self._writes.execute(END_PREDECESSOR, (self.worker,))
        self._writes.execute("SELECT pg_advisory_lock(%s)", (_token(self.worker),))

    def _reconnect(self) -> None:
        self._writes.close()
        self._writes = self._patiently(lambda: self._connect(self.worker))
        self._announce()

    def _patiently(self, connect: Callable[[], T]) -> T:
        """Connect to a server that may be away for a moment. Raises the driver's error when it stays away."""
        until = time.monotonic() + RECONNECT_S
        pauses = iter(PAUSES_S)
        while True:
            try:
                return connect()
            except psycopg.OperationalError:
                pause = next(pauses, PAUSES_S[-1])
                if time.monotonic() + pause > until:
                    raise
                time.sleep(pause)

    # ---- transactions

    def _begin(self) -> None:
        try:
            self._take_turn()
        except psycopg.OperationalError:
            if self._ended or not self._writes.closed:
                self._rollback()
                raise
            self._reconnect()
            self._take_turn()

    def _take_turn(self) -> None:
        self._writes.execute("BEGIN ISOLATION LEVEL READ COMMITTED")  # what a turn reads begins with the turn
        row = self._writes.execute(TURN, (WRITERS,)).fetchone()
        assert row is not None
        self._transaction_id = row[1]

    def _commit(self) -> None:
        try:
            self._writes.execute("COMMIT")
        except psycopg.OperationalError:
            if not self._writes.closed:
                raise
            self._reconnect()
            if not self._was_committed():
                raise

    def _was_committed(self) -> bool:
        """Whether the transaction whose confirmation got lost is in the database."""
        row = self._writes.execute("SELECT pg_xact_status(%s::xid8)", (self._transaction_id,)).fetchone()
        return row is not None and row[0] == "committed"

    def _rollback(self) -> None:
        try:
            self._writes.execute("ROLLBACK")
        except psycopg.Error:
            self._writes.close()  # made anew by the next transaction

    def _write(self, sql: str, values: Sequence[object]) -> list[Row]:
        return _rows(self._writes.execute(_placeholders(sql), values or None))

    def _write_many(self, sql: str, rows: Sequence[Sequence[object]]) -> None:
        with self._writes.cursor() as cursor:
            cursor.executemany(_placeholders(sql), rows)
        self._writes.execute("SELECT 1")  # a pipeline ends with a flush, after which the server sees no idleness

    def _read(self, sql: str, values: Sequence[object]) -> list[Row]:
        with self._reading:
            try:
                return _rows(self._reads.execute(_placeholders(sql), values or None))
            except psycopg.OperationalError:
                if self._ended or not self._reads.closed:
                    raise
                self._reads.close()
                self._reads = self._patiently(lambda: self._connect(f"{self.worker} reads"))
                return _rows(self._reads.execute(_placeholders(sql), values or None))


def _rows(cursor: psycopg.Cursor[Any]) -> list[Row]:
    return cursor.fetchall() if cursor.description else []


@lru_cache(maxsize=256)
def _placeholders(sql: str) -> str:
    """SQL of ours with the driver's placeholders; the values never pass through here."""
    return sql.replace("%", "%%").replace("?", "%s")


def _token(name: str) -> int:
    """The number of a worker's advisory lock."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
