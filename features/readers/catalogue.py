"""The items and users tables: unique ids, text attributes, and a row for every id of the interactions."""

from __future__ import annotations

import polars as pl

from features.readers.as_of import AVAILABLE, available
from features.readers.columns import as_id, as_text
from features.readers.source import FILE, ROW, file_of
from schemas.errors import DataError
from schemas.records import Kind

NO_TEXT = ("id", "ds", AVAILABLE, FILE, ROW)  # columns that are no attribute


def catalogue(frame: pl.DataFrame, unit: str) -> tuple[pl.DataFrame, pl.DataFrame, tuple[str, ...]]:
    """A table with `id` and text attributes, its rejects (rows without an id), and notes.

    A column `available_from` (in `unit`: s, ms or us) comes last, in unix seconds. Raises DataError on a repeated id.
    """
    file = file_of(frame)
    ids = as_id(frame["id"], f"{file}: id")
    binary = [name for name in frame.columns if name not in NO_TEXT and frame[name].dtype in (pl.Binary, pl.Object)]
    attributes = [as_text(frame[name]).alias(name) for name in frame.columns if name not in (*NO_TEXT, *binary)]
    since = [available(frame, unit)] if AVAILABLE in frame.columns else []
    table = pl.DataFrame([ids.alias("id"), *attributes, *since])
    twice = frame.filter(ids.is_duplicated() & ids.is_not_null()).select(FILE, ROW)
    if twice.height:
        id, rows = table.filter(ids.is_duplicated() & ids.is_not_null())["id"][0], twice[ROW].to_list()
        raise DataError(f"{twice[FILE][0]}: id {id!r}: expected once, found again (row {rows[0]}); keep one row per id")
    rejects = frame.filter(ids.is_null()).select(
        pl.col(FILE).cast(pl.String).alias("file"),
        pl.col(ROW).alias("row"),
        pl.lit("").alias("id"),
        pl.lit("empty_id").alias("reason"),
        pl.lit("id is empty").alias("detail"),
    )
    notes = [f"{name}: column of {file} left out, bytes are no text" for name in binary]
    notes += [f"ds: column of {file} left out, the tables use that name"] if "ds" in frame.columns else []
    return table.filter(ids.is_not_null()), rejects, tuple(notes)


def with_ids_of(
    table: pl.DataFrame, used: pl.Series, kind: Kind, file: str, interactions_file: str
) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """The table with a row for every id of `used` (distinct, not null), and a note on those added.

    Raises DataError when fewer than half of them are in the table: then the two files write ids differently.
    """
    known = used.is_in(table["id"].implode())
    missing = used.filter(~known)
    if 2 * int(known.sum()) < len(used):
        raise DataError(_differently_written(table["id"], missing, kind, file, interactions_file))
    if missing.is_empty():
        return table, ()
    added = pl.DataFrame({"id": missing.sort()})
    note = f"{len(missing)} {kind} ids of {interactions_file} are not in {file}: added without attributes"
    return pl.concat([table, added], how="diagonal"), (note,)


def _differently_written(ids: pl.Series, missing: pl.Series, kind: Kind, file: str, interactions_file: str) -> str:
    bare = pl.DataFrame({"id": ids, "bare": ids.str.strip_chars_start("0")})
    pairs = pl.DataFrame({"used": missing, "bare": missing.str.strip_chars_start("0")}).join(bare, on="bare")
    used, id = (pairs["used"][0], pairs["id"][0]) if pairs.height else (missing[0], ids.first())
    why = "they differ in leading zeros only" if pairs.height else "the columns may hold different kinds of ids"
    return (
        f"{interactions_file}: {kind}_id: expected ids of {file}, but {len(missing)} are not there: "
        f"for example {used!r} here and {id!r} there; {why}. Write the ids of both files in the same way, as text"
    )
