"""An online store in one SQLite file: a table per release, read by any number of processes of one machine."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from features.online.base import ROWS_AT_ONCE, Entry, Features, Fed, unpack
from schemas.chunks import chunks
from schemas.errors import StoreError
from schemas.records import Kind

WAIT_S = 30.0  # for another process that is writing
IDS_AT_ONCE = 500  # in one statement; SQLite takes 32,766 values
SETTINGS = (
    "PRAGMA journal_mode = WAL",  # readers go on reading while the next release is written
    "PRAGMA synchronous = NORMAL",  # whole after a power cut, at worst without the last release: it can be fed again
)


class SqliteStore:
    """One file with what is live and a table `release_TOKEN` of it, in write-ahead log mode on a local disk.

    A switch is one small transaction, so a reader sees one release or the other. Readers write nothing, but the folder
    must be writable for them: the log beside the file is shared. May be used by several threads.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._opened: sqlite3.Connection | None = None

    def live(self) -> Fed | None:
        if not self.path.exists():
            return None
        with self._reading() as reader:
            return _live(reader)[0]

    def feed(self, fed: Fed, entries: Iterable[Entry]) -> int:
        token, rows = f"release_{uuid4().hex}", 0
        with self._lock, self._errors():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            database = self._connection()
            database.execute("CREATE TABLE IF NOT EXISTS live (one INTEGER PRIMARY KEY CHECK (one = 1), fed, token)")
            _drop_others(database)
            database.execute(
                f"CREATE TABLE {token} (kind, id, name, value, PRIMARY KEY (kind, id, name)) WITHOUT ROWID"
            )
            for block in chunks(entries, ROWS_AT_ONCE):
                with _transaction(database, "IMMEDIATE"):
                    database.executemany(f"INSERT INTO {token} VALUES (?, ?, ?, ?)", block)
                rows += len(block)
            database.execute("INSERT OR REPLACE INTO live VALUES (1, ?, ?)", (fed.to_json(), token))
            _drop_others(database)
        return rows

    def get(self, kind: Kind, id: str) -> Features:
        return self.get_many(kind, [id])[id]

    def get_many(self, kind: Kind, ids: Sequence[str], names: Sequence[str] | None = None) -> dict[str, Features]:
        found: dict[str, dict[str, bytes]] = {id: {} for id in ids}
        with self._reading() as reader:
            fed, token = _live(reader)
            if fed is None:
                raise StoreError(_nothing(self.path))
            for some in chunks(found, IDS_AT_ONCE):
                for id, name, value in reader.execute(*_select(token, kind, some, names)):
                    found[id][name] = value
        return {id: {name: unpack(value) for name, value in each.items()} for id, each in found.items()}

    def close(self) -> None:
        with self._lock:
            if self._opened is not None:
                self._opened.close()
                self._opened = None

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees one moment of the file."""
        if not self.path.exists():
            raise StoreError(_nothing(self.path))
        with self._lock, self._errors(), _transaction(self._connection(), "DEFERRED") as reader:
            yield reader

    def _connection(self) -> sqlite3.Connection:
        if self._opened is None:
            opened = sqlite3.connect(self.path, timeout=WAIT_S, isolation_level=None, check_same_thread=False)
            try:
                for setting in SETTINGS:
                    opened.execute(setting)
            except sqlite3.Error:
                opened.close()
                raise
            self._opened = opened
        return self._opened

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StoreError(
                f"online store {self.path}: {error}; check that it may be written and has room, or move it away: "
                "`loregraph feed` makes it anew from the lake"
            ) from error


def _nothing(path: Path) -> str:
    return f"online store {path}: nothing is live yet; `loregraph feed --run FILE` brings a release"


def _live(reader: sqlite3.Connection) -> tuple[Fed | None, str]:
    if not reader.execute("SELECT 1 FROM sqlite_master WHERE name = 'live'").fetchone():
        return None, ""
    row = reader.execute("SELECT fed, token FROM live").fetchone()
    return (Fed.of_json(row[0]), row[1]) if row else (None, "")


def _drop_others(database: sqlite3.Connection) -> None:
    """Delete every release but the live one; readers who are at it keep what they see."""
    _, token = _live(database)
    tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name GLOB 'release_*'")
    for (name,) in tables.fetchall():
        if name != token:
            database.execute(f"DROP TABLE {name}")


def _select(token: str, kind: Kind, ids: Sequence[str], names: Sequence[str] | None) -> tuple[str, tuple[str, ...]]:
    only = f" AND name IN ({_marks(names)})" if names is not None else ""
    text = f"SELECT id, name, value FROM {token} WHERE kind = ? AND id IN ({_marks(ids)}){only}"
    return text, (kind, *ids, *(names or ()))


def _marks(values: Sequence[str]) -> str:
    return ", ".join("?" * len(values))


@contextmanager
def _transaction(database: sqlite3.Connection, mode: str) -> Iterator[sqlite3.Connection]:
    database.execute(f"BEGIN {mode}")
    try:
        yield database
    except BaseException:
        database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")
