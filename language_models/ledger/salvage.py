"""What can still be read of a damaged SQLite ledger, as a new one: a paid answer is asked for again only if it is gone.

Every page is read by itself, and what tables say of each other is put together again: a call whose own row is gone is
known by the index of keys and by its answers.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from language_models.ledger.database import marks
from language_models.ledger.ledger import Ledger
from language_models.ledger.mending import mend
from language_models.ledger.pages import Pages, Value
from language_models.ledger.presence import Presence
from language_models.ledger.schema import VERSION
from schemas.errors import StoreError

FILES = ("", "-wal", "-shm")  # behind the name of a database


@dataclass(frozen=True, slots=True)
class Salvaged:
    """What became of a ledger. `damaged` is where the old file is now."""

    answers: int  # kept
    answers_lost: int  # whose pages cannot be read, as far as their numbers tell
    calls: int  # kept
    mended: int  # of them, those whose own row was gone
    asked_again: int  # of them, those that need another answer
    damaged: Path


def salvage(ledger: Path) -> Salvaged:
    """Put a ledger with all that can be read in the place of a damaged one, which stays beside it as `*.damaged`.

    Raises StoreError where a worker still uses the ledger, where nothing can be read, and where there is no room.
    """
    if not ledger.exists():
        raise StoreError(f"{ledger}: ledger: nothing to salvage, there is no such file")
    _refuse_living(ledger)
    try:
        with tempfile.TemporaryDirectory(prefix=f"{ledger.name}-", dir=ledger.parent) as scratch:
            old, new = Path(scratch) / "old.sqlite", Path(scratch) / "new.sqlite"
            _copy(ledger, old)
            found = _carry_over(old, new, ledger)
            damaged = _set_aside(ledger)
            new.replace(ledger)
    except OSError as error:
        raise StoreError(f"{ledger}: ledger: cannot be salvaged: {error}; free some room beside it") from error
    return Salvaged(*found, damaged)


def _carry_over(old: Path, new: Path, ledger: Path) -> tuple[int, int, int, int, int]:
    Ledger(new).close()
    with closing(_connect(old)) as damaged, closing(_connect(new)) as sound:
        with suppress(sqlite3.DatabaseError):  # of a damaged first page the log cannot be brought in
            damaged.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        pages = Pages(old)
        if pages.version not in (None, VERSION):
            raise StoreError(f"{ledger}: ledger: version {pages.version}, expected {VERSION}; restore a copy of it")
        with sound:
            _insert(sound, pages.rows())
            mended, asked_again = mend(damaged, sound)
        kept, last = sound.execute("SELECT count(*), coalesce(max(number), 0) FROM answers").fetchone()
        calls = sound.execute("SELECT count(*) FROM states").fetchone()[0]
        if not calls:
            raise StoreError(f"{ledger}: ledger: nothing of it can be read; restore a copy of it")
        sound.execute("PRAGMA journal_mode = DELETE")  # one file, that can be moved
    return kept, last - kept, calls, mended, asked_again


def _insert(sound: sqlite3.Connection, rows: Iterable[tuple[str, tuple[Value, ...]]]) -> None:
    for table, values in rows:
        sound.execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks(values)})", values)


def _connect(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path)
    with suppress(sqlite3.DatabaseError):  # what is no database is told by its pages
        database.execute("PRAGMA cell_size_check = ON")
    return database


def _copy(ledger: Path, to: Path) -> None:
    """With the commits that are not yet in the file itself; what is salvaged is never written to."""
    for ending in FILES[:2]:
        source = ledger.with_name(ledger.name + ending)
        if source.exists():
            shutil.copyfile(source, to.with_name(to.name + ending))


def _set_aside(ledger: Path) -> Path:
    number = 0
    while (aside := ledger.with_name(f"{ledger.name}.damaged{number or ''}")).exists():
        number += 1
    for ending in FILES:
        source = ledger.with_name(ledger.name + ending)
        if source.exists():
            source.replace(aside.with_name(aside.name + ending))
    return aside


def _refuse_living(ledger: Path) -> None:
    folder = ledger.with_name(ledger.name + "-workers")
    for path in folder.glob("worker-*"):
        if Presence(folder, "salvage").alive(path.name):
            raise StoreError(f"{ledger}: ledger: {path.name} still uses it; stop the runs first, then salvage it")
