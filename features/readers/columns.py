"""Columns of any source type as what we store: ids and attributes as text, ratings and times as numbers."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from features.readers.source import FILE, ROW, file_of
from features.readers.times import ISO, iso_seconds
from schemas.errors import ConfigError, DataError, unknown_name

UNITS = {"s": 1, "ms": 1_000, "us": 1_000_000}  # per second
YEAR_2100 = 4_102_444_800  # unix seconds: a later time is a mistake
EXACT = 2**53  # a float holds whole numbers up to here


def mapped(frame: pl.DataFrame, names: Mapping[str, str], key: str, required: tuple[str, ...]) -> pl.DataFrame:
    """Rename source columns to ours. A mapped column wins over one that already has our name; "" leaves ours out.

    `key` is the run file's key, such as data.columns. Raises DataError on a column that is not there.
    """
    left_out = [ours for ours, source in names.items() if not source and ours not in required]
    names = {ours: source for ours, source in names.items() if ours not in left_out}
    there = [name for name in frame.columns if name not in (FILE, ROW)]
    for ours in left_out:  # a name with a slip in it would let the column through
        if ours not in there and key != "data.columns":
            raise DataError(_missing(file_of(frame), ours, ours, there, key))
    frame = frame.drop([ours for ours in left_out if ours not in names.values()], strict=False)
    there = [name for name in frame.columns if name not in (FILE, ROW)]
    for ours in {**{name: name for name in required}, **names}:
        if names.get(ours, ours) not in there:
            raise DataError(_missing(file_of(frame), ours, names.get(ours, ours), there, key))
    hidden = [name for name in names if name in there and names[name] != name and name not in names.values()]
    sources = [pl.col(source).alias(ours) for ours, source in names.items()]
    kept = [name for name in frame.columns if name not in names.values() and name not in hidden]
    return frame.select(*kept, *sources)


def known_names(names: Mapping[str, str], known: tuple[str, ...], key: str) -> None:
    """Raises ConfigError when the mapping names a column of ours that there is not."""
    for name in names:
        if name not in known:
            raise ConfigError(unknown_name(key, name, known))


def as_id(column: pl.Series, where: str) -> pl.Series:
    """An id column as String, stripped; empty ids are null. Whole numbers lose a '.0', leading zeros stay.

    Raises DataError on other types, on fractions, and on floats too large to be exact. `where` names file and column.
    """
    if column.dtype.is_float():
        column = _whole(column.fill_nan(None), where)
    if not (column.dtype.is_integer() or _is_text(column.dtype)):
        raise DataError(f"{where}: expected text or whole numbers, found {column.dtype}; write ids so")
    text = _stripped(column)
    if text.str.contains(r"^-?\d+\.0$").all() and text.null_count() < len(text):
        text = text.str.strip_suffix(".0")  # whole numbers that some tool has written as floats
    return text


def as_number(column: pl.Series, where: str) -> pl.Series:
    """A number column as Float64 (integers stay integers); what is not a number is null. Raises DataError on lists."""
    if column.dtype.is_integer():
        return column
    if column.dtype.is_nested() or column.dtype.is_temporal() or column.dtype in (pl.Binary, pl.Object):
        raise DataError(
            f"{where}: expected numbers, found {column.dtype}; write one in each row, or map another column"
        )
    text = column.cast(pl.String).str.strip_chars() if _is_text(column.dtype) else column
    number = text.cast(pl.Float64, strict=False)
    return number.set(~number.is_finite().fill_null(value=False), None)


def as_whole(column: pl.Series, where: str) -> pl.Series:
    """A number column as Int64, rounded down; what is not a number is null."""
    number = as_number(column, where)
    return (
        number.floor().cast(pl.Int64, strict=False) if number.dtype.is_float() else number.cast(pl.Int64, strict=False)
    )


def as_seconds(column: pl.Series, unit: str, where: str) -> pl.Series:
    """Unix seconds as Int64, rounded down. Date and time types know their unit; numbers are in `unit`.

    With the unit `iso` text is a time in ISO 8601, or the same with a space for the T; UTC where it names no offset.
    """
    if column.dtype in (pl.Date, pl.Datetime):
        return column.cast(pl.Datetime("us")).dt.epoch("s")
    if unit == ISO:
        if not _is_text(column.dtype):
            raise DataError(
                f"{where}: read as {ISO}: expected text, found {column.dtype}; set data.time_unit to its unit"
            )
        return iso_seconds(_stripped(column))
    return as_whole(column, where) // UNITS[unit]


def as_text(column: pl.Series) -> pl.Series:
    """An attribute as String, stripped; empty is null, lists are joined with '; ', whole floats lose '.0'."""
    if isinstance(column.dtype, pl.Array):
        column = column.arr.to_list()
    if column.dtype == pl.List(pl.Struct):
        column = column.list.eval(pl.element().drop_nulls().struct.json_encode())
    if isinstance(column.dtype, pl.List) and column.dtype.inner.is_nested():
        inner = pl.struct(pl.element().alias("v")).struct.json_encode()
        column = column.list.eval(inner.str.strip_prefix('{"v":').str.strip_suffix("}"))
    if isinstance(column.dtype, pl.List):
        column = column.list.eval(pl.element().cast(pl.String)).list.drop_nulls().list.join("; ")
    if isinstance(column.dtype, pl.Struct):
        column = column.struct.json_encode().set(column.is_null(), None)
    if column.dtype.is_float():
        column = column.set(~column.is_finite().fill_null(value=False), None)
        column = column.cast(pl.Int64) if (column.drop_nulls() % 1 == 0).all() else column
    return _stripped(column)


def joined_text(column: str, separator: str) -> pl.Expr:
    """A list-of-text column as one text, empty parts left out."""
    parts = pl.col(column).list.eval(pl.element().str.strip_chars()).list
    return parts.eval(pl.element().filter(pl.element() != "")).list.join(separator)


def _stripped(column: pl.Series) -> pl.Series:
    text = column.cast(pl.String).str.strip_chars()
    return text.set((text == "").fill_null(value=False), None)


def _is_text(dtype: pl.DataType) -> bool:
    return dtype in (pl.String, pl.Categorical, pl.Enum, pl.Null)


def _whole(column: pl.Series, where: str) -> pl.Series:
    values = column.drop_nulls()
    wrong = values.filter(~values.is_finite() | (values % 1 != 0) | (values.abs() > EXACT))
    if len(wrong):
        raise DataError(f"{where}: expected whole numbers, found {wrong[0]}; write ids as text")
    return column.cast(pl.Int64)


def _missing(file: str, ours: str, wanted: str, there: list[str], key: str) -> str:
    unknown = unknown_name(f"{file}: column", wanted, there)
    return f"{unknown}; set {key}.{ours} to the file's own name of this column"
