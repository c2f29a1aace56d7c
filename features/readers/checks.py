"""The rules that every source goes through, whatever its reader, from `Raw` to `Source`.

What a night may not know yet is gone by then (`features.readers.as_of`).

| found | what happens |
|---|---|
| missing file, no rows, unknown column, not UTF-8, invalid JSON | DataError naming file, and column, byte or line |
| integer ids, or floats that are whole numbers | become text without '.0'; leading zeros of text stay |
| empty or null id | the row becomes a reject, `empty_id` |
| the same id twice in items or users, equal rows too | DataError |
| rating that is empty, NaN, infinite or no number | reject, `bad_rating` |
| timestamp that is empty, negative, no number, or after 2100 | reject, `bad_timestamp` |
| position that is empty or no number | reject, `bad_position` |
| `available_from` of items or users that is no such time | DataError naming the row |
| most timestamps after 2100, or in 1970 when `time_unit` is ms or us | DataError naming the unit that fits |
| timestamps that are text such as 2026-11-22 10:00 | read where `time_unit` is iso, else DataError that says so |
| a `split` value other than train, valid and test | DataError |
| rating, timestamp, position, split or review empty in every row | the column is left out, with a note |
| more than 5 % of the interaction rows are rejects | DataError with reasons and counts |
| rating below `min_rating` | dropped, with a note |
| the same (user, item) again | the first by time, position, part, row is kept, with a note |
| users and items below `k_core` | dropped until none is left below it, from the tables too, with a note |
| an id of the interactions that is not in items or users | added without attributes, with a note |
| fewer than half of the distinct ids are in the table | DataError with an example of each side |
| no items or users file | made from the interactions, with a note (items) |
| a column `ds` in items or users | left out, with a note: the tables of a night use that name for its date |
| fewer than 2 users or items left | DataError |
"""

from __future__ import annotations

import polars as pl

from features.corpus import PARTS
from features.readers.columns import UNITS, YEAR_2100, as_id, as_number, as_seconds, as_whole
from features.readers.source import FILE, ROW, Raw, file_of
from features.readers.times import ISO, iso_seconds
from schemas.errors import DataError, unknown_name

OPTIONAL = ("rating", "timestamp", "position", "split", "review")
MAX_REJECTS = 0.05  # share of the interaction rows
YEAR_1971, YEAR_1990 = 31_536_000, 631_152_000  # unix seconds

_FAULTS = {
    "empty_id": (pl.col("user_id").is_null() | pl.col("item_id").is_null(), "user_id or item_id is empty"),
    "bad_rating": (pl.col("rating").is_null(), "rating: expected a finite number"),
    "bad_timestamp": (
        ~pl.col("timestamp").is_between(0, YEAR_2100).fill_null(value=False),
        "timestamp: expected a time from 1970 to 2100",
    ),
    "bad_position": (pl.col("position").is_null(), "position: expected a whole number"),
}


def typed(raw: Raw) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """The interactions in our types, what cannot be read is null, and a note per empty column that was left out."""
    rows, file = raw.interactions, file_of(raw.interactions)
    empty = [name for name in OPTIONAL if name in rows.columns and rows[name].null_count() == rows.height]
    made = [as_id(rows[name], f"{file}: {name}").alias(name) for name in ("user_id", "item_id")]
    for name in OPTIONAL:
        if name in rows.columns and name not in empty:
            made.append(_typed_column(rows[name], name, raw.time_unit, file))
    notes = tuple(f"{name}: empty in every row of {file}, column left out" for name in empty)
    return pl.DataFrame([*made, rows[FILE], rows[ROW]]), notes


def without_rejects(rows: pl.DataFrame, raw: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows without a fault, and the others as rejects; `raw` has the same rows as they came, for the details.

    Raises DataError when more than 5 % are rejects, and on times in another unit or unknown parts.
    """
    reason = pl.coalesce(pl.when(fault).then(pl.lit(name)) for name, fault in _faults(rows).items())
    marked = rows.with_columns(reason.alias("reason"))
    bad = marked["reason"].is_not_null()
    rejects = _as_rejects(marked.filter(bad).rechunk(), raw.filter(bad).rechunk())  # see table_measures.some_rows
    if rejects.height > MAX_REJECTS * rows.height:
        raise DataError(_too_many(rejects, rows.height, file_of(rows)))
    return rows.filter(~bad), rejects


def check_times(seconds: pl.Series, unit: str, file: str) -> None:
    """Raises DataError when most times make sense in another unit only. `seconds`: int64, read with `unit`."""
    middle = seconds.median()
    if unit == ISO or not isinstance(middle, (int, float)):
        return
    if middle > YEAR_2100 or (unit != "s" and middle < YEAR_1971):
        stored = middle * UNITS[unit]
        fitting = [name for name, per_second in UNITS.items() if YEAR_1990 <= stored / per_second <= YEAR_2100]
        fix = (
            f'set data.time_unit = "{fitting[0]}"' if fitting else "write them as seconds, milliseconds or microseconds"
        )
        when = "after the year 2100" if middle > YEAR_2100 else "in 1970"
        raise DataError(f"{file}: timestamp: read in {unit}, half of the times (around {stored:.0f}) are {when}; {fix}")


def check_parts(rows: pl.DataFrame, file: str) -> None:
    """Raises DataError on the first `split` value that is no part."""
    wrong = rows.filter(~pl.col("split").is_in(PARTS).fill_null(value=False))
    if wrong.height:
        found = unknown_name(f"{file}: row {wrong[ROW][0]}: split", wrong["split"][0] or "(empty)", PARTS)
        raise DataError(
            f"{found}; {wrong.height} such rows. Rename them, or map another column with data.columns.split"
        )


def _typed_column(column: pl.Series, name: str, unit: str, file: str) -> pl.Series:
    where = f"{file}: {name}"
    if name == "rating":
        return as_number(column, where).cast(pl.Float32).alias(name)
    if name == "timestamp":
        seconds = as_seconds(column, unit, where)
        _check_iso(column, seconds, where)
        check_times(seconds, unit, file)
        return seconds.alias(name)
    if name == "position":
        return as_whole(column, where).alias(name)
    return column.cast(pl.String).alias(name)


def _check_iso(column: pl.Series, seconds: pl.Series, where: str) -> None:
    """Raises DataError where no time could be read, and all that is wrong is the unit."""
    if column.dtype != pl.String or seconds.null_count() < len(seconds):
        return
    if iso_seconds(column.str.strip_chars()).null_count() < len(column):
        found = column.drop_nulls().first()
        raise DataError(f'{where}: expected numbers, found {found!r}; set data.time_unit = "{ISO}"')


def _faults(rows: pl.DataFrame) -> dict[str, pl.Expr]:
    return {
        reason: fault for reason, (fault, _) in _FAULTS.items() if set(fault.meta.root_names()) <= set(rows.columns)
    }


def _as_rejects(marked: pl.DataFrame, raw: pl.DataFrame) -> pl.DataFrame:
    """file, row, id ('user/item'), reason and detail of every marked row; the detail quotes the value as it came."""
    details = [
        pl.when(pl.col("reason") == reason).then(pl.lit(text) + _found(raw, fault.meta.root_names()[0]))
        for reason, (fault, text) in _FAULTS.items()
        if set(fault.meta.root_names()) <= set(marked.columns)
    ]
    return marked.select(
        pl.col(FILE).cast(pl.String).alias("file"),
        pl.col(ROW).alias("row"),
        pl.format("{}/{}", pl.col("user_id").fill_null(""), pl.col("item_id").fill_null("")).alias("id"),
        "reason",
        pl.coalesce(details).alias("detail"),
    )


def _found(raw: pl.DataFrame, name: str) -> pl.Expr:
    """', found VALUE' with the value as it came; an id that is empty has no value to quote."""
    if name in ("user_id", "item_id"):
        return pl.lit("")
    return pl.lit(", found ") + pl.lit(raw[name].cast(pl.String)).fill_null("nothing")


def _too_many(rejects: pl.DataFrame, height: int, file: str) -> str:
    counts = rejects.group_by("reason", maintain_order=True).agg(pl.len(), pl.col("row", "id", "detail").first())
    reasons = "; ".join(
        f"{row['reason']} {row['len']} (first: row {row['row']}, {row['id']!r}, {row['detail']})"
        for row in counts.iter_rows(named=True)
    )
    reasons += ". Mend or remove these rows"
    share = f"{100 * rejects.height / height:.1f} %"
    return f"{file}: {rejects.height} of {height} interaction rows ({share}) cannot be used, at most 5 % may: {reasons}"
