"""Times that are text, in ISO 8601, as unix seconds."""

from __future__ import annotations

import polars as pl

ISO = "iso"  # the unit of such times in a run file
TIME = (
    r"^(?<day>\d{4}-\d{2}-\d{2})"
    r"(?:[T ](?<minute>\d{2}:\d{2})(?::(?<second>\d{2})(?:[.,]\d+)?)?\s*"
    r"(?:Z|UTC|(?<sign>[+-])(?<hours>\d{2}):?(?<minutes>\d{2})?)?)?$"
)


def iso_seconds(text: pl.Series) -> pl.Series:
    """Unix seconds as Int64, rounded down, of text such as 2026-11-22, 2026-11-22 10:00, 2026-11-22T10:00:00.5+01:00.

    UTC where no offset is named; a day alone is its midnight; null where it is no such time.
    """
    part = text.str.extract_groups(TIME).struct
    clock = part.field("minute").fill_null("00:00") + ":" + part.field("second").fill_null("00")
    local = (part.field("day") + " " + clock).str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False).dt.epoch("s")
    ahead = 3600 * _number(part.field("hours")) + 60 * _number(part.field("minutes"))
    east = part.field("sign").fill_null("+") == "+"
    return local - ahead * (2 * east.cast(pl.Int64) - 1)


def _number(digits: pl.Series) -> pl.Series:
    return digits.cast(pl.Int64).fill_null(0)
