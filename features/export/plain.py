"""Tables as files for everybody: plain Arrow types, one file written to its end, its sha256."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from features.delta import arrow
from features.views import Released

ROWS_AT_ONCE = 2**17
LEFT_OUT = ("calls", "vectors", "releases")  # what users were asked about; every text ever encoded; the lake's own


def exported_tables(snapshot: Released) -> list[str]:
    """The tables that are exported where none are named: all but raw calls and the store of vectors."""
    return [name for name in snapshot.names() if name not in LEFT_OUT]


def plain(rows: pl.DataFrame) -> pa.Table:
    """Rows in the types that every reader knows: `list<float>` for vectors, `string`, no large or fixed-size kinds."""
    table = arrow(rows)
    return table.cast(pa.schema([field.with_type(_plain_type(field.type)) for field in table.schema]))


def write_parquet_file(file: Path, rows: pl.DataFrame) -> dict[str, Any]:
    """Write rows as one Parquet file (zstd); returns its path, rows, bytes and sha256 for a manifest."""
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(plain(rows), file, compression="zstd", row_group_size=ROWS_AT_ONCE)
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    return {"rows": rows.height, "bytes": file.stat().st_size, "sha256": digest}


def about(snapshot: Released, format: str, tables: dict[str, Any]) -> dict[str, Any]:
    """The manifest of an export: which release, which versions, which files."""
    release = snapshot.release
    names = ("number", "ds", "model", "seed", "config_hash", "made_at", "reason", "restores")
    told = {name: getattr(release, name) for name in names}
    return {"format": format, "release": told, "tables": tables}


def _plain_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_large_list(kind) or pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        return pa.list_(_plain_type(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_plain_type(field.type)) for field in kind])
    return kind
