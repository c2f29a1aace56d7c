"""The unit of a column of times, told by the values."""

from __future__ import annotations

import polars as pl

from features.readers.checks import YEAR_1990
from features.readers.columns import UNITS, YEAR_2100, as_number
from features.readers.times import ISO, iso_seconds
from schemas.errors import DataError

MOST = 0.95  # share of the values that must be times, as the readers ask for


def time_unit(column: pl.Series) -> str | None:
    """`s`, `ms`, `us` or `iso`, of Date and Datetime `s`, which then means nothing; None where it holds no times."""
    if column.dtype in (pl.Date, pl.Datetime):
        return "s"
    if column.dtype == pl.String:
        times = iso_seconds(column.str.strip_chars())
        if times.null_count() <= (1 - MOST) * len(times):
            return ISO
    try:
        numbers = as_number(column, column.name).cast(pl.Float64)
    except DataError:
        return None
    fits = {unit: (numbers / per).is_between(YEAR_1990, YEAR_2100).sum() for unit, per in UNITS.items()}
    best = max(fits, key=lambda unit: fits[unit])
    return best if fits[best] >= MOST * len(column) and len(column) else None
