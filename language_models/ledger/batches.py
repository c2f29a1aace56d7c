"""The rows of batches: what was sent to a Batch API as one file, and how far it has come."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, fields, replace

from language_models.ledger.database import Database, marks
from language_models.ledger.printable import printable
from language_models.ledger.types import Batch
from schemas.errors import StoreError

COLUMNS = tuple(column.name for column in fields(Batch))
SELECT = f"SELECT {', '.join(COLUMNS)} FROM batches"
INSERT = f"INSERT INTO batches (number, {', '.join(COLUMNS)}) VALUES (?, {marks(COLUMNS)})"
UPDATE = f"UPDATE batches SET {', '.join(f'{name} = ?' for name in COLUMNS)} WHERE id = ? RETURNING id"
OPEN = "SELECT id FROM batches WHERE state <> 'landed' AND id IN"


def insert(database: Database, batch: Batch) -> None:
    database.execute(INSERT, (database.next_number("batches"), *_row(batch)))


def save(database: Database, batch: Batch) -> None:
    if not database.execute(UPDATE, (*_row(batch), batch.id)):
        raise StoreError(f"{database.where}: ledger: batch {batch.id}: not found; lease calls for it first")


def read(database: Database, open_only: bool) -> list[Batch]:
    where = "WHERE state <> 'landed'" if open_only else ""
    return [Batch(*row) for row in database.query(f"{SELECT} {where} ORDER BY number")]


def delete(database: Database, batch_id: str) -> None:
    database.execute("DELETE FROM batches WHERE id = ?", (batch_id,))


def open_ids(database: Database, ids: Iterable[str]) -> set[str]:
    """Those that are batches which have not landed."""
    return {row[0] for row in database.lookup(OPEN, ids)}


def _row(batch: Batch) -> tuple[object, ...]:
    row: tuple[object, ...] = astuple(replace(batch, detail=printable(batch.detail)))
    return row
