"""Whole tables of any format as frames; a file that cannot be read is named, with what is wrong in it."""

from __future__ import annotations

import io
import re
from pathlib import Path

import polars as pl

from features.readers.lines import first_line, read_json_lines, reading, text_blocks
from features.readers.source import Progress, located
from schemas.errors import DataError

FORMATS = ("parquet", "csv", "csv.gz", "jsonl", "jsonl.gz", "ndjson")


def read_table(file: Path, progress: Progress | None = None) -> pl.DataFrame:
    """A whole table with the columns `_file` and `_row`. CSV columns are String; blank CSV lines are passed over.

    Raises DataError on a file without rows, one that is not UTF-8, and one that is not in the format of its name.
    """
    if file.name.endswith(".parquet"):
        frame = located(_parquet(file), file)
    elif file.name.endswith((".csv", ".csv.gz")):
        frame = _csv(file, progress)
    else:
        frame = read_json_lines(file, None, progress)
    if frame.is_empty():
        raise DataError(f"{file}: expected rows, found none")
    return frame


def read_delimited(file: Path, separator: str, names: list[str], progress: Progress | None = None) -> pl.DataFrame:
    """A table without header, such as those of MovieLens, all String; UTF-8 where the bytes are, else Latin-1.

    `separator` may have several characters. Further columns are left out. Raises DataError.
    """
    with reading(file):
        content = file.read_bytes()
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    single = separator if len(separator) == 1 else "\x1f"  # polars splits at one byte
    if progress:
        progress(file.name, len(content), len(content))
    frame = _polars_csv(file, text.replace(separator, single).encode(), single, header=False, quoted=False)
    if frame.width < len(names):
        raise DataError(f"{file}: expected {len(names)} columns separated by {separator!r}, found {frame.width}")
    frame = _without_blank_lines(frame)
    return located(frame.select(pl.nth(index).alias(name) for index, name in enumerate(names)), file)


def _parquet(file: Path) -> pl.DataFrame:
    try:
        with reading(file):
            return pl.read_parquet(file, glob=False)
    except pl.exceptions.PolarsError as error:
        raise DataError(f"{file}: not a Parquet file: {first_line(error)}") from None


def _csv(file: Path, progress: Progress | None) -> pl.DataFrame:
    content = b"".join(block for _, block in text_blocks(file, progress))
    frame = _polars_csv(file, content, ",", header=True, quoted=True)
    twice = [match[1] for name in frame.columns if (match := re.fullmatch(r"(.+)_duplicated_\d+", name))]
    if twice:
        raise DataError(f"{file}: column {twice[0]}: expected once in the header, found several times")
    return located(_without_blank_lines(frame), file)


def _polars_csv(file: Path, content: bytes, separator: str, *, header: bool, quoted: bool) -> pl.DataFrame:
    """`infer_schema=False` keeps every value as it is written: leading zeros of an id are not lost."""
    quote = '"' if quoted else None
    try:
        return pl.read_csv(
            io.BytesIO(content), separator=separator, has_header=header, quote_char=quote, infer_schema=False
        )
    except pl.exceptions.NoDataError:
        raise DataError(f"{file}: expected rows, found an empty file") from None
    except pl.exceptions.PolarsError as error:
        raise DataError(f"{file}: not a table separated by {separator!r}: {first_line(error)}") from None


def _without_blank_lines(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.filter(~pl.all_horizontal(pl.all().is_null()))
