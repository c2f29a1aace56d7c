"""Amazon Reviews 2023 (Hou et al., arXiv:2403.03952): review files and `meta_*` files, JSON lines, plain or gzipped.

A review becomes an interaction with `parent_asin` as item and title and text as its review. `average_rating` and
`rating_number` of the metadata are left out: they are made from all reviews, those that a split holds out included.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from features.readers.columns import joined_text
from features.readers.lines import read_json_lines
from features.readers.source import FILE, ROW, Progress, Raw, Reader, folder_with
from schemas.errors import DataError
from schemas.sections import Data

REVIEW = {
    "user_id": pl.String(),
    "parent_asin": pl.String(),
    "rating": pl.Float64(),
    "timestamp": pl.Int64(),
    "title": pl.String(),
    "text": pl.String(),
}
META = {
    "parent_asin": pl.String(),
    "title": pl.String(),
    "store": pl.String(),
    "price": pl.String(),
    "categories": pl.List(pl.String()),
    "features": pl.List(pl.String()),
    "description": pl.List(pl.String()),
}


def locate(folder: Path, _data: Data) -> Path | None:
    return folder_with(folder, lambda candidate: bool(_files(candidate, meta=False)))


def read(folder: Path, _data: Data, progress: Progress | None) -> Raw:
    """Read every review file and every meta file of the folder; only the columns needed stay in memory."""
    reviews = pl.concat(_rows(file, REVIEW, progress) for file in _files(folder, meta=False))
    metas = [_rows(file, META, progress) for file in _files(folder, meta=True)]
    return Raw(
        interactions=reviews.select(
            "user_id",
            pl.col("parent_asin").alias("item_id"),
            "rating",
            "timestamp",
            pl.concat_str("title", "text", separator="\n", ignore_nulls=True).alias("review"),
            FILE,
            ROW,
        ),
        items=_items(pl.concat(metas)) if metas else None,
        users=None,
        time_unit="ms",
    )


def _items(meta: pl.DataFrame) -> pl.DataFrame:
    return meta.select(
        pl.col("parent_asin").alias("id"),
        "title",
        "store",
        "price",
        joined_text("categories", "; "),
        joined_text("features", "; "),
        joined_text("description", " "),
        FILE,
        ROW,
    )


def _rows(file: Path, schema: dict[str, pl.DataType], progress: Progress | None) -> pl.DataFrame:
    rows = read_json_lines(file, schema, progress)
    if rows.is_empty():
        raise DataError(f"{file}: expected rows, found none")
    unknown = [name for name in ("user_id", "parent_asin") if name in schema and rows[name].null_count() == rows.height]
    if unknown:
        raise DataError(
            f"{file}: {unknown[0]}: expected in every line, found in none; is it a file of Amazon Reviews 2023?"
        )
    return rows


def _files(folder: Path, *, meta: bool) -> list[Path]:
    files = [file for ending in ("jsonl", "jsonl.gz") for file in folder.glob(f"*.{ending}") if file.is_file()]
    return sorted(file for file in files if file.name.startswith("meta_") == meta)


READER = Reader("review files such as All_Beauty.jsonl.gz, and meta_*.jsonl.gz beside them", locate, read)
