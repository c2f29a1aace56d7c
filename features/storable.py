"""What a frame must look like to be a Delta table, and when a frame holds the rows that are live already."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

SIGNED: dict[pl.DataType, pl.DataType] = {
    pl.UInt8(): pl.Int32(),
    pl.UInt16(): pl.Int32(),
    pl.UInt32(): pl.Int64(),
    pl.UInt64(): pl.Int64(),
}


def storable(frame: pl.DataFrame, live: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """The frame in the types that every reader of ours understands; `live` are the table's types so far.

    Vectors (`Array` or `List` of floats) become `List(Float32)` because Delta cannot give an `Array` back, times are in
    microseconds because Spark reads no others, categories are text, unsigned integers the next wider signed ones, and a
    column without any value takes its type from the table.
    """
    types = {name: _stored_type(dtype, live.get(name, pl.String())) for name, dtype in frame.schema.items()}
    return frame.cast({name: dtype for name, dtype in types.items() if dtype != frame.schema[name]})


def same_rows(new: pl.DataFrame, live: pl.DataFrame) -> bool:
    """Whether `new` would change nothing: the same rows in any order. What `new` leaves out must be empty in `live`."""
    if new.height != live.height or any(new.schema[name] != live.schema.get(name) for name in new.columns):
        return False
    if any(live[name].null_count() < live.height for name in live.columns if name not in new.columns):
        return False
    return not new.height or _content(new).equals(_content(live.select(new.columns)))


def _content(frame: pl.DataFrame) -> pl.Series:
    """[N] uint64 hashes of the rows, sorted: equal for equal rows in any order."""
    return frame.hash_rows().sort()


def _stored_type(dtype: pl.DataType, empty: pl.DataType) -> pl.DataType:
    if isinstance(dtype, pl.Array | pl.List):
        inner = dtype.inner if isinstance(dtype.inner, pl.DataType) else dtype.inner()
        return pl.List(pl.Float32() if inner.is_float() else _stored_type(inner, pl.String()))
    if isinstance(dtype, pl.Datetime):
        return pl.Datetime("us", dtype.time_zone)
    if isinstance(dtype, pl.Categorical | pl.Enum):
        return pl.String()
    return empty if isinstance(dtype, pl.Null) else SIGNED.get(dtype, dtype)
