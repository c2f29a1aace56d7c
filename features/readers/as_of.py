"""A source as it was at a moment: events from then on do not exist, nor do users and items known from them alone.

| row | when it exists |
|---|---|
| an event | before the moment; where events have no timestamps always |
| a user | from the first event on; one without any event always |
| an item | as `data.items_from` says: always (`catalogue`), or from its first event on (`first_event`) |
| a row of users or items with `available_from` | from then on, whatever the two rules above say |
| such a row with an earlier event | as an id without attributes until then |

`available_from` is in `data.time_unit`, is no attribute, and a row may leave it empty. The cut comes before every other
rule: ratings, repeated pairs and cores are judged as they stood, and what cannot be read of later rows is no reject.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

import polars as pl

from features.readers.columns import YEAR_2100, as_id, as_seconds
from features.readers.source import FILE, ROW, Raw, file_of
from schemas.errors import DataError
from schemas.records import KINDS, Kind

AVAILABLE = "available_from"


@dataclass(frozen=True)
class AsOf:
    """What is known at a moment. `seen` are ids with an event before it, `later` those with later events alone."""

    until: int | None  # unix seconds; None: everything exists
    seen: Mapping[Kind, pl.Series]
    later: Mapping[Kind, pl.Series]
    notes: tuple[str, ...] = ()

    def rows(self, table: pl.DataFrame, kind: Kind, items_from: Literal["catalogue", "first_event"]) -> pl.DataFrame:
        """The rows of a catalogue that exist, without the column `available_from` (unix seconds)."""
        seen = table["id"].is_in(self.seen[kind].implode())
        there = ~table["id"].is_in(self.later[kind].implode()) if kind == "user" else seen | (items_from == "catalogue")
        if AVAILABLE not in table.columns:
            return table.filter(there | seen)
        stated, table = table[AVAILABLE], table.drop(AVAILABLE)
        come = stated < (YEAR_2100 + 1 if self.until is None else self.until)  # null where the row does not say
        hidden = ~come.fill_null(value=True)
        bare = [
            pl.when(hidden).then(None).otherwise(pl.col(name)).alias(name) for name in table.columns if name != "id"
        ]
        return table.with_columns(bare).filter(come.fill_null(there) | seen)


def cut(raw: Raw, until: int | None) -> tuple[Raw, AsOf]:
    """The source with the events before `until` (unix seconds), and which users and items exist by then.

    Raises DataError where no event is left. An event whose time cannot be read stays: it becomes a reject.
    """
    rows = raw.interactions
    ids = {kind: as_id(rows[f"{kind}_id"], f"{file_of(rows)}: {kind}_id") for kind in KINDS}
    later = _later(raw, until)
    if later is None or not later.any():
        undated = until is not None and later is None
        notes = (f"{file_of(rows)}: events have no timestamps, so every night sees all of them",) if undated else ()
        return raw, AsOf(until, ids, {kind: each.clear() for kind, each in ids.items()}, notes)
    if later.all():
        raise DataError(_nothing(raw, until or 0))
    seen = {kind: each.filter(~later).unique() for kind, each in ids.items()}
    alone = {kind: each.filter(later).unique() for kind, each in ids.items()}
    alone = {kind: each.filter(~each.is_in(seen[kind].implode())) for kind, each in alone.items()}
    note = f"{later.sum()} interactions from {_date(until or 0)} on were left out"
    return replace(raw, interactions=rows.filter(~later)), AsOf(until, seen, alone, (note,))


def available(frame: pl.DataFrame, unit: str) -> pl.Series:
    """The column `available_from` in unix seconds; empty stays null. Raises DataError on a value that is no time."""
    file, column = file_of(frame), frame[AVAILABLE]
    seconds = as_seconds(column, unit, f"{file}: {AVAILABLE}")
    given = column.cast(pl.String).str.strip_chars().fill_null("") != ""
    wrong = frame.filter(given & ~seconds.is_between(0, YEAR_2100).fill_null(value=False))
    if wrong.height:
        raise DataError(
            f"{wrong[FILE][0]}: row {wrong[ROW][0]}: {AVAILABLE}: expected a time from 1970 to 2100, found "
            f"{wrong[AVAILABLE][0]!r} (read in {unit}, see data.time_unit); leave it empty where it is not known"
        )
    return seconds.alias(AVAILABLE)


def _later(raw: Raw, until: int | None) -> pl.Series | None:
    """[E] whether an event comes later; None where that cannot be told or is not asked."""
    rows = raw.interactions
    if until is None or "timestamp" not in rows.columns or rows["timestamp"].null_count() == rows.height:
        return None
    seconds = as_seconds(rows["timestamp"], raw.time_unit, f"{file_of(rows)}: timestamp")
    return seconds.is_between(until, YEAR_2100).fill_null(value=False)  # after 2100 is no time, but a reject


def _nothing(raw: Raw, until: int) -> str:
    file = file_of(raw.interactions)
    first = as_seconds(raw.interactions["timestamp"], raw.time_unit, f"{file}: timestamp").min()
    found = f"the first one at {_date(first)}" if isinstance(first, int) else "none"
    return f"{file}: timestamp: expected events before {_date(until)}, found {found}; use a later date"


def _date(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
