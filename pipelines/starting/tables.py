"""Which file holds the interactions, which the items and which the users, and what their columns are in our terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from features.readers.columns import as_id
from features.readers.neutral import INTERACTION_COLUMNS
from pipelines.starting.names import ITEM, RATING, REVIEW, TIME, TITLE, USER, named
from pipelines.starting.sheets import Sheet
from pipelines.starting.times import time_unit
from pipelines.starting.wording import shown
from schemas.errors import ConfigError, DataError, unknown_name
from schemas.records import KINDS, Kind

SHARE = 0.5  # of the ids in use that a table of items or users has at least, as the readers ask for
REQUIRED = ("user_id", "item_id")


@dataclass
class Tables:
    """What was recognised; `columns` are {ours: theirs} by table, names that agree left out."""

    sheets: dict[str, Sheet]  # interactions, and items and users where there are any
    columns: dict[str, dict[str, str]]
    time_unit: str | None  # of the timestamps, None where there are none that can be read
    notes: list[str] = field(default_factory=list)


def recognise(folder: Path, sheets: Sequence[Sheet], given: Mapping[str, str], wrong: Sequence[str]) -> Tables:
    """Tell tables and columns by their names, items and users by the ids in them.

    `given`: {ours: theirs}, columns of the interactions that somebody has named. Raises DataError where it cannot tell.
    """
    for ours in given:
        if ours not in INTERACTION_COLUMNS:
            raise ConfigError(unknown_name("--column", ours, INTERACTION_COLUMNS))
    events, columns = _interactions(folder, sheets, given, wrong)
    tables = Tables({"interactions": events}, {}, None, list(wrong))
    columns |= _further(events, columns, given, tables)
    tables.columns["interactions"] = _renamed(columns)
    for kind in KINDS:
        _add_catalogue(kind, events.frame[columns[f"{kind}_id"]], sheets, tables)
    used = [sheet.name for sheet in tables.sheets.values()]
    tables.notes += [f"{shown(each.name)}: not used" for each in sheets if each.name not in used]
    return tables


def _interactions(
    folder: Path, sheets: Sequence[Sheet], given: Mapping[str, str], wrong: Sequence[str]
) -> tuple[Sheet, dict[str, str]]:
    """The longest table that has a column of users and another one of items."""
    for sheet in sorted(sheets, key=lambda each: -each.frame.height):
        there = [name for name in sheet.frame.columns if name not in given.values()]
        found = {"user_id": named(there, USER), "item_id": named(there, ITEM), **given}
        if all(found[ours] in sheet.frame.columns for ours in REQUIRED):
            return sheet, {ours: str(found[ours]) for ours in REQUIRED}
    seen = "; ".join(f"{shown(each.name)}: {_listed(each.frame.columns)}" for each in sheets) or "no table"
    broken = "".join(f"\n{each}" for each in wrong)
    raise DataError(
        f"{folder}: expected a table with a column of users and one of items, found {seen}. Say which they are: "
        f"loregraph init {folder} --column user_id=THEIRS --column item_id=THEIRS{broken}"
    )


def _further(events: Sheet, columns: Mapping[str, str], given: Mapping[str, str], tables: Tables) -> dict[str, str]:
    """Rating, time and the rest; a column that cannot be read as what it is called is left out, with a note."""
    frame = events.frame.drop(columns.values())
    found = {"rating": named(frame.columns, RATING), "review": named(frame.columns, REVIEW)} | {
        ours: ours if ours in frame.columns else None for ours in ("position", "split")
    }
    found |= {ours: theirs for ours, theirs in given.items() if ours not in REQUIRED}
    known = {ours: theirs for ours, theirs in found.items() if theirs is not None and _readable(frame, ours, theirs)}
    times = [given["timestamp"]] if "timestamp" in given else [each for each in frame.columns if named([each], TIME)]
    for theirs in sorted(times, key=lambda each: TIME.index(_known_as(each)) if "timestamp" not in given else 0):
        if (unit := time_unit(frame[theirs])) is not None:
            tables.time_unit = unit
            known["timestamp"] = theirs
            break
        tables.notes.append(
            f"{shown(events.name)}: {shown(theirs)}: left out, no time that can be read (first: "
            f"{shown(str(frame[theirs].drop_nulls().first()))}); write 2026-11-22T10:00:00Z or unix seconds"
        )
    for ours in INTERACTION_COLUMNS:  # a column of our name that is something else
        if ours in frame.columns and ours not in known:
            known[ours] = ""
    return known


def _known_as(column: str) -> str:
    return next(name for name in TIME if named([column], (name,)))


def _readable(frame: pl.DataFrame, ours: str, theirs: str) -> bool:
    if theirs not in frame.columns:
        raise DataError(unknown_name(f"--column {ours}", theirs, frame.columns))
    column = frame[theirs].drop_nulls()
    if ours == "split":
        return {"train", "test"} <= set(column.cast(pl.String, strict=False).unique()) <= {"train", "valid", "test"}
    if ours == "review":
        return column.dtype == pl.String and float(column.str.len_chars().mean() or 0) > 15  # type: ignore[arg-type]
    if column.dtype.is_nested() or column.dtype.is_temporal():
        return False
    numbers = column.cast(pl.String).str.strip_chars().cast(pl.Float64, strict=False)
    return len(column) > 0 and numbers.null_count() <= 0.05 * len(column)


def _add_catalogue(kind: Kind, used: pl.Series, sheets: Sequence[Sheet], tables: Tables) -> None:
    """The table with a column that has one row for each id, and most of the ids in use."""
    ids, events = _ids(used), tables.sheets["interactions"]
    best: tuple[float, Sheet, str] | None = None
    for sheet in sheets:
        if sheet.name in [each.name for each in tables.sheets.values()]:
            continue
        for column in sheet.frame.columns:
            share = _share(ids, sheet.frame[column])
            if share >= SHARE and (best is None or share > best[0]) and _usable(kind, sheet, column, events, tables):
                best = share, sheet, column
    if best is not None:
        _, sheet, column = best
        title = named([each for each in sheet.frame.columns if each != column], TITLE) if kind == "item" else None
        tables.sheets[f"{kind}s"] = sheet
        tables.columns[f"{kind}s"] = _renamed({"id": column} | ({"title": title} if title else {}))


def _usable(kind: Kind, sheet: Sheet, column: str, events: Sheet, tables: Tables) -> bool:
    where = f"{shown(sheet.name)}: {shown(column)}"
    if (twice := _ids(sheet.frame[column])) is not None and twice.is_duplicated().any():
        again = twice.filter(twice.is_duplicated())[0]
        tables.notes.append(
            f"{where}: has the ids of {kind}s, but {shown(again)!r} stands there several times; keep one row per id "
            f"and run init again, and its columns describe the {kind}s"
        )
        return False
    if sheet.separator != events.separator and ".csv" in "".join(sheet.file.suffixes):
        tables.notes.append(f"{where}: separated otherwise than {shown(events.name)}; write both in the same way")
        return False
    return True


def _share(used: pl.Series | None, column: pl.Series) -> float:
    """Of the distinct ids in use, how many the column has."""
    ids = _ids(column)
    if used is None or ids is None:
        return 0.0
    distinct = used.unique()
    return float(distinct.is_in(ids.unique().implode()).mean() or 0.0)  # type: ignore[arg-type]


def _ids(column: pl.Series) -> pl.Series | None:
    """A column as ids, empty ones left out; None where it holds none."""
    try:
        ids = as_id(column, column.name).drop_nulls()
    except DataError:
        return None
    return ids if len(ids) else None


def _renamed(columns: Mapping[str, str]) -> dict[str, str]:
    return {ours: theirs for ours, theirs in columns.items() if ours != theirs}


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(shown(column) for column in columns[:20]) + (", ..." if len(columns) > 20 else "")
