"""Readers: one source layout each, all through the same rules (`features.readers.checks`) into a `Source`."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from features.readers import amazon, as_of, checks, filters, movielens, neutral
from features.readers.as_of import AsOf
from features.readers.catalogue import catalogue, with_ids_of
from features.readers.download import ensure_data
from features.readers.source import FILE, ROW, Progress, Raw, Reader, Source, all_rejects, file_of
from features.splits import k_core
from schemas.errors import ConfigError, DataError
from schemas.records import Kind
from schemas.sections import Data

__all__ = ["READERS", "Progress", "Reader", "Source", "read_source"]

Core = Callable[[pl.DataFrame, int], pl.DataFrame]  # as `features.splits.k_core`
READERS: dict[str, Reader] = {
    "neutral": neutral.READER,
    "movielens": movielens.READER,
    "amazon": amazon.READER,
}


def read_source(data: Data, progress: Progress | None = None, until: int | None = None, core: Core = k_core) -> Source:
    """Read a data set, downloading it first when its folder is empty and `data.url` is set.

    With `until` (unix seconds) as it was at that moment: `features.readers.as_of`. `core` is who makes the k-core.

    `progress` is called with file name, bytes done and bytes in total. The rules are the table of
    `features.readers.checks`. Raises DataError, and ConfigError where a setting asks for what the source does not have.
    """
    _refuse_mapping(data)
    reader = READERS[data.format]
    folder = ensure_data(data, reader, progress)
    raw, known = as_of.cut(reader.read(folder, data, progress), until)
    file = file_of(raw.interactions)
    rows, empty_notes = checks.typed(raw)
    rows, rejects = checks.without_rejects(rows, raw.interactions)
    if "split" in rows.columns:
        checks.check_parts(rows, file)
    rows, notes = _filtered(rows, data, file, core)
    users, user_rejects, user_notes = _table(raw, rows, "user", known, data)
    items, item_rejects, item_notes = _table(raw, rows, "item", known, data)
    return Source(
        users=users,
        items=items,
        interactions=rows.drop(FILE, ROW),
        rejects=all_rejects([rejects, user_rejects, item_rejects]),
        notes=(*raw.notes, *known.notes, *empty_notes, *notes, *item_notes, *user_notes),
    )


def _filtered(rows: pl.DataFrame, data: Data, file: str, core: Core) -> tuple[pl.DataFrame, tuple[str, ...]]:
    notes: tuple[str, ...] = ()
    if data.min_rating is not None:
        rows, notes = filters.at_least(rows, data.min_rating, file)
    rows, more = filters.first_of_pairs(rows)
    notes += more
    if data.k_core > 1:
        kept = core(rows, data.k_core)
        notes += (f"{rows.height - kept.height} interactions outside the {data.k_core}-core were dropped",)
        rows = kept
    for side in ("user_id", "item_id"):
        if rows[side].n_unique() < 2:
            setting = f"lower data.k_core = {data.k_core}" if data.k_core > 1 else "a recommender needs more data"
            raise DataError(
                f"{file}: {side}: expected at least 2 different ids, found {rows[side].n_unique()}; {setting}"
            )
    return rows, notes


def _table(
    raw: Raw, rows: pl.DataFrame, kind: Kind, known: AsOf, data: Data
) -> tuple[pl.DataFrame, pl.DataFrame, tuple[str, ...]]:
    """The table of a kind, its rejects and notes; from the interactions alone when the source has no such file."""
    used, given, file = rows[f"{kind}_id"].unique().sort(), raw.table(kind), file_of(raw.interactions)
    if given is None:
        note = (f"no items file: {len(used)} items made from {file}, without attributes",) if kind == "item" else ()
        return pl.DataFrame({"id": used}), all_rejects([]), note
    table, rejects, notes = catalogue(given, raw.time_unit)
    table, added = with_ids_of(table, used, kind, file_of(given), file)
    there = known.rows(table, kind, data.items_from)
    in_core = there.filter(pl.col("id").is_in(used.implode())) if data.k_core > 1 else there
    left_out = (
        (table.height - there.height, f"{kind}s that do not exist yet were left out"),
        (there.height - in_core.height, f"{kind}s outside the {data.k_core}-core were dropped"),
    )
    return in_core, rejects, (*notes, *added, *(f"{count} {what}" for count, what in left_out if count))


def _refuse_mapping(data: Data) -> None:
    for key in ("columns", "item_columns", "user_columns"):
        if data.format != "neutral" and getattr(data, key):
            raise ConfigError(f"data.{key}: only for format = neutral, the columns of {data.format} are fixed")
