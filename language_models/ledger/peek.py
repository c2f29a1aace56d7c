"""A look at a ledger from outside, without taking part in it: nothing is written, no lock is held, nobody waits."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from language_models.ledger.address import Address
from language_models.ledger.database import LOOKUP, Row, marks
from language_models.ledger.lookups import accounts
from language_models.ledger.money import PICO
from language_models.ledger.types import Account, Totals
from schemas.chunks import chunks
from schemas.errors import StoreError

WITHIN_S = 3  # of a connection, and of a question
SPENT = "SELECT spent, possible, reserved, unknown FROM budget WHERE night = "
IN_FLIGHT = "SELECT count(*) FROM states WHERE holder IS NOT NULL AND night = "


class Seen(NamedTuple):
    """A night's money, and the calls that somebody has leased and not brought back yet."""

    totals: Totals
    in_flight: int


def peek(where: str | Path, night: str) -> Seen | None:
    """What a ledger knows of a night; None where there is no ledger yet. Raises StoreError where it cannot be read."""
    if isinstance(where, str) and where.startswith(("postgresql://", "postgres://")):
        return _postgres(where, night)
    return _sqlite(Path(where), night)


def peek_calls(file: Path, keys: Iterable[str]) -> list[Account]:
    """What a ledger file keeps of calls; nothing where it is not there. Raises StoreError where it cannot be read."""
    if not file.is_file():
        return []
    with _looking_at(file) as ledger:
        return list(accounts(_Looking(ledger), keys))


class _Looking:
    """Look-ups over a connection that cannot write."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def lookup(self, sql: str, keys: Iterable[str], values: Sequence[object] = ()) -> Iterator[Row]:
        for some in chunks(keys, LOOKUP):
            yield from self._connection.execute(f"{sql} ({marks(some)})", (*values, *some))


@contextmanager
def _looking_at(file: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=WITHIN_S)) as ledger:
            yield ledger
    except sqlite3.Error as error:
        raise StoreError(
            f"{file}: the ledger cannot be looked at: {error}; try again when the step has ended"
        ) from None


def _sqlite(file: Path, night: str) -> Seen | None:
    if not file.is_file():
        return None
    with _looking_at(file) as ledger:
        money = ledger.execute(f"{SPENT} ?", (night,)).fetchall()
        return _seen(money, ledger.execute(f"{IN_FLIGHT} ?", (night,)).fetchall())


def _postgres(address: str, night: str) -> Seen | None:
    import psycopg

    from language_models.ledger.postgres import SCHEMA  # says so where psycopg is not installed

    place = Address.parse(address)
    settings = f"-c default_transaction_read_only=on -c search_path={SCHEMA} -c statement_timeout={WITHIN_S}s"
    try:
        with psycopg.connect(place.full, connect_timeout=WITHIN_S, options=settings, autocommit=True) as ledger:
            money = ledger.execute(f"{SPENT} %s", (night,)).fetchall()
            return _seen(money, ledger.execute(f"{IN_FLIGHT} %s", (night,)).fetchall())
    except psycopg.errors.UndefinedTable:
        return None
    except psycopg.Error as error:
        raise StoreError(f"{place.shown}: the ledger cannot be looked at: {place.scrub(str(error)).strip()}") from None


def _seen(money: list[Any], in_flight: list[Any]) -> Seen:
    spent, possible, reserved, unknown = money[0] if money else (0, 0, 0, 0)
    return Seen(Totals(spent / PICO, possible / PICO, reserved / PICO, unknown), int(in_flight[0][0]))
