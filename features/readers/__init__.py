"""Readers: one source layout each, all through the same rules (`features.readers.checks`) into a `Source`."""

from __future__ import annotations

import polars as pl

from features.readers import amazon, checks, filters, movielens, neutral
from features.readers.catalogue import catalogue, with_ids_of
from features.readers.download import ensure_data
from features.readers.source import FILE, ROW, Progress, Reader, Source, all_rejects, file_of
from features.splits import k_core
from schemas.errors import ConfigError, DataError
from schemas.records import Kind
from schemas.sections import Data

__all__ = ["READERS", "Progress", "Reader", "Source", "read_source"]

READERS: dict[str, Reader] = {
    "neutral": neutral.READER,
    "movielens": movielens.READER,
    "amazon": amazon.READER,
}


def read_source(data: Data, progress: Progress | None = None) -> Source:
    """Read a data set, downloading it first when its folder is empty and `data.url` is set.

    `progress` is called with file name, bytes done and bytes in total. The rules are the table of
    `features.readers.checks`. Raises DataError, and ConfigError where a setting asks for what the source does not have.
    """
    _refuse_mapping(data)
    reader = READERS[data.format]
    folder = ensure_data(data, reader, progress)
    raw = reader.read(folder, data, progress)
    file = file_of(raw.interactions)
    rows, empty_notes = checks.typed(raw)
    rows, rejects = checks.without_rejects(rows, raw.interactions)
    if "split" in rows.columns:
        checks.check_parts(rows, file)
    rows, notes = _filtered(rows, data, file)
    users, user_rejects, user_notes = _table(raw.users, rows, "user", file, data.k_core)
    items, item_rejects, item_notes = _table(raw.items, rows, "item", file, data.k_core)
    return Source(
        users=users,
        items=items,
        interactions=rows.drop(FILE, ROW),
        rejects=all_rejects([rejects, user_rejects, item_rejects]),
        notes=(*raw.notes, *empty_notes, *notes, *item_notes, *user_notes),
    )


def _filtered(rows: pl.DataFrame, data: Data, file: str) -> tuple[pl.DataFrame, tuple[str, ...]]:
    notes: tuple[str, ...] = ()
    if data.min_rating is not None:
        rows, notes = filters.at_least(rows, data.min_rating, file)
    rows, more = filters.first_of_pairs(rows)
    notes += more
    if data.k_core > 1:
        kept = k_core(rows, data.k_core)
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
    raw: pl.DataFrame | None, rows: pl.DataFrame, kind: Kind, file: str, k: int
) -> tuple[pl.DataFrame, pl.DataFrame, tuple[str, ...]]:
    """The table of a kind, its rejects and notes; from the interactions alone when the source has no such file."""
    used = rows[f"{kind}_id"].unique().sort()
    if raw is None:
        note = (f"no items file: {len(used)} items made from {file}, without attributes",) if kind == "item" else ()
        return pl.DataFrame({"id": used}), all_rejects([]), note
    table, rejects, notes = catalogue(raw)
    table, added = with_ids_of(table, used, kind, file_of(raw), file)
    in_core = table.filter(pl.col("id").is_in(used.implode())) if k > 1 else table
    left_out = table.height - in_core.height
    core = (f"{left_out} {kind}s outside the {k}-core were dropped",) if left_out else ()
    return in_core, rejects, (*notes, *added, *core)


def _refuse_mapping(data: Data) -> None:
    for key in ("columns", "item_columns", "user_columns"):
        if data.format != "neutral" and getattr(data, key):
            raise ConfigError(f"data.{key}: only for format = neutral, the columns of {data.format} are fixed")
