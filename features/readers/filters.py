"""The rules that drop sound interactions: low ratings and repeated pairs."""

from __future__ import annotations

import polars as pl

from features.corpus import PARTS
from schemas.errors import ConfigError, DataError


def at_least(rows: pl.DataFrame, min_rating: float, file: str) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Rows with a rating of at least `min_rating`, and a note."""
    if "rating" not in rows.columns:
        raise ConfigError(
            f"data.min_rating = {min_rating}: {file} has no ratings; leave it out, or set data.columns.rating"
        )
    kept = rows.filter(pl.col("rating") >= min_rating)
    if kept.is_empty():
        best = rows.select(pl.col("rating").max()).item()
        raise DataError(f"{file}: data.min_rating = {min_rating} leaves no row, the highest rating is {best}; lower it")
    dropped = rows.height - kept.height
    return kept, ((f"{dropped} interactions with a rating below {min_rating} were dropped",) if dropped else ())


def first_of_pairs(rows: pl.DataFrame) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """One row per (user, item), in the order given, and a note. The first by time, position, part and row is kept."""
    rows = rows.with_row_index("_order")
    keys: list[str] = [name for name in ("timestamp", "position") if name in rows.columns]
    if "split" in rows.columns:
        keys.append("_part")
        part = pl.col("split").replace_strict({name: code for code, name in enumerate(PARTS)}, return_dtype=pl.Int8)
        rows = rows.with_columns(part.alias("_part"))
    kept = rows.sort(*keys, "_order").unique(["user_id", "item_id"], keep="first", maintain_order=True)
    dropped = rows.height - kept.height
    kept = kept.sort("_order").drop("_order", "_part", strict=False)
    return kept, ((f"{dropped} repeated (user, item) pairs: the first was kept",) if dropped else ())
