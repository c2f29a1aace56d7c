"""A ledger in one SQLite file on a local disk, shared by the processes of one machine."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from language_models.ledger.database import BUSY_S, Database, Row
from language_models.ledger.presence import POLL_S, Presence, Queue

READ_CACHE_KIB, WRITE_CACHE_KIB = 32_000, 8_000  # a million keys are looked up in half the time of the default
DIALECT = {"number": "INTEGER PRIMARY KEY", "serial": "INTEGER PRIMARY KEY", "keyed": " WITHOUT ROWID"}
SETTINGS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # an acknowledged row survives a power cut, not only a kill
    "PRAGMA cell_size_check = ON",  # a damaged page is found when it is read
)
NEXT_STEPS = (
    (("not a database", "malformed", "decode"), "`loregraph salvage --run FILE` keeps every answer that can still be "
     "read; else move the file away (a new one is started and its answers are asked again) or restore a copy of it"),
    (("locked", "busy"), "another process holds it; let it finish and run again"),
    (("full", "No space", "disk I/O"), "free some disk space and run again; every answer so far is kept"),
    (("closed",), "open it again"),
)  # fmt: skip


class SqliteDatabase(Database):
    """One connection writes, another reads, so that looking up does not wait for a commit."""

    failures = (sqlite3.Error, OSError)
    refusals = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.InterfaceError)

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self.path = path
        folder = path.with_name(path.name + "-workers")
        self._presence, self._queue = Presence(folder, self.worker), Queue(folder / "queue")
        self._patience_s = BUSY_S
        self._reading = threading.Lock()
        with self.errors():
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                path.touch(mode=0o600)  # prompts and answers are its owner's; whoever shares it widens the mode once
            self._writes = self._connect(WRITE_CACHE_KIB)
            self._writes.execute("PRAGMA busy_timeout = 0")  # the queue waits
            try:
                self._reads = self._connect(READ_CACHE_KIB)
            except sqlite3.Error:
                self._writes.close()
                raise

    def version(self) -> int:
        return int(self.query("PRAGMA user_version")[0][0])

    def create(self, statements: Iterable[str], version: int) -> None:
        for statement in statements:
            self.execute(statement.format(**DIALECT))
        self.execute(f"PRAGMA user_version = {version}")

    def join(self) -> None:
        with self.errors():
            self._presence.join()

    def alive(self, names: Iterable[str]) -> set[str]:
        with self.errors():
            return {name for name in names if self._presence.alive(name)}

    def tidy(self, holders: set[str]) -> None:
        with self.errors():
            self._presence.tidy(holders)

    def _close(self) -> None:
        with self._reading:
            self._presence.leave()
            self._queue.close()
            self._reads.close()
            self._writes.close()

    def next_step(self, error: Exception) -> str:
        for signs, step in NEXT_STEPS:
            if any(sign in str(error) for sign in signs):
                return step
        return "give a work folder that can be written to (`work` in the run file)"

    def _connect(self, cache_kib: int) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            for setting in SETTINGS:
                self._when_free(connection, setting)  # SQLite itself does not wait while the journal mode changes
            connection.execute(f"PRAGMA cache_size = -{cache_kib}")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _begin(self) -> None:
        with self._queue.head(self._patience_s):
            self._when_free(self._writes, "BEGIN IMMEDIATE")

    def _when_free(self, connection: sqlite3.Connection, statement: str) -> None:
        """Execute a statement as soon as no other process is in the way."""
        until = time.monotonic() + self._patience_s
        while True:
            try:
                connection.execute(statement)
                return
            except sqlite3.OperationalError as error:
                if time.monotonic() > until or error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    raise
            time.sleep(POLL_S)

    def _commit(self) -> None:
        self._writes.execute("COMMIT")

    def _rollback(self) -> None:
        with suppress(sqlite3.Error):
            self._writes.rollback()

    def _write(self, sql: str, values: Sequence[object]) -> list[Row]:
        return self._writes.execute(sql, values).fetchall()

    def _write_many(self, sql: str, rows: Sequence[Sequence[object]]) -> None:
        self._writes.executemany(sql, rows)

    def _read(self, sql: str, values: Sequence[object]) -> list[Row]:
        with self._reading:
            return self._reads.execute(sql, values).fetchall()
