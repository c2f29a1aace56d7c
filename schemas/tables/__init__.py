"""The tables of the lake: what each one holds, its columns, and the key that is unique within a night."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from schemas.errors import DataError
from schemas.tables.answers import ANSWERS, CALLS
from schemas.tables.base import Table
from schemas.tables.inputs import INPUTS
from schemas.tables.records import RECORDS
from schemas.tables.results import METRICS, RESULTS
from schemas.tables.source import SOURCE

__all__ = ["CALLS", "METRICS", "TABLES", "Table", "conform"]

TABLES: Mapping[str, Table] = {**SOURCE, **ANSWERS, **INPUTS, **RESULTS, **RECORDS}


def conform(name: str, frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with a table's columns in their order and types; an open table keeps its further columns.

    Raises DataError naming table and column where one is missing, unknown, or of values that the type cannot hold.
    """
    table = TABLES[name]
    known = {**table.columns, **(table.optional or {})}
    missing = [column for column in table.columns if column not in frame.columns]
    extra = [column for column in frame.columns if column not in known and column != "ds"]
    if missing or (extra and not table.open):
        problem = f"column {missing[0]} is missing" if missing else f"column {extra[0]} is unknown"
        raise DataError(f"table {name}: {problem} (expected {', '.join(known)}; found {', '.join(frame.columns)})")
    ordered = [column for column in known if column in frame.columns]
    try:
        return frame.select(*ordered, *extra).cast({column: known[column] for column in ordered})
    except pl.exceptions.InvalidOperationError as error:
        raise DataError(f"table {name}: {error}") from error
