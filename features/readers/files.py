"""Whole tables of any format as frames; a file that cannot be read is named, with what is wrong in it."""

from __future__ import annotations

import io
import re
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from features.readers.lines import first_line, read_json_lines, reading, text_blocks
from features.readers.source import Progress, located
from schemas.errors import DataError

FORMATS = ("parquet", "csv", "csv.gz", "jsonl", "jsonl.gz", "ndjson")
DELIMITED = ("csv", "csv.gz", "tsv", "tsv.gz", "txt", "txt.gz")
MAX_GROWTH, SLACK = 200, 2**28  # of a Parquet file: unpacked bytes per byte, and besides
MAX_ROWS, SLACK_ROWS = 16, 10_000_000  # rows per byte, and besides: an event takes more than half a bit
MOST_COLUMNS = 10_000  # of a table; reading takes time for each of them
NAMED_FORMATS = (*FORMATS, *(ending for ending in DELIMITED if ending not in FORMATS))  # of a file that is named


def read_table(file: Path, progress: Progress | None = None, separator: str | None = None) -> pl.DataFrame:
    """A whole table with the columns `_file` and `_row`. CSV columns are String; blank CSV lines are passed over.

    `separator` is between the fields of a CSV file: by default a comma, and a tab where its name ends in .tsv.
    Raises DataError on a file without rows, one that is not UTF-8, and one that is not in the format of its name.
    """
    if file.name.endswith(".parquet"):
        frame = located(_parquet(file), file)
    elif file.name.endswith(tuple(f".{ending}" for ending in DELIMITED)):
        frame = _csv(file, progress, separator or ("\t" if ".tsv" in file.suffixes else ","))
    else:
        frame = read_json_lines(file, None, progress)
    if frame.is_empty():
        raise DataError(f"{file}: expected rows, found none; fill it, or take it out of the folder")
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
    _refuse_bomb(file)
    try:
        with reading(file):
            return pl.read_parquet(file, glob=False)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:  # a panic: pages that contradict it
        raise DataError(f"{file}: not a Parquet file that can be read: {first_line(error)}; write it anew") from None


def _refuse_bomb(file: Path) -> None:
    """Raises DataError where the footer promises far more than a file of its size holds, before memory is taken."""
    try:
        with reading(file):
            footer = pq.read_metadata(file)
            unpacked = sum(footer.row_group(group).total_byte_size for group in range(footer.num_row_groups))
    except (pa.ArrowException, ValueError) as error:  # ArrowInvalid is both
        raise DataError(f"{file}: not a Parquet file that can be read: {first_line(error)}; write it anew") from None
    size = file.stat().st_size
    if unpacked > MAX_GROWTH * size + SLACK or footer.num_rows > MAX_ROWS * size + SLACK_ROWS:
        raise DataError(
            f"{file}: refused: {size} bytes would become {footer.num_rows} rows of {unpacked} bytes, more than a "
            "table of events and texts holds in it. Write it as CSV if that is what it holds"
        )


def _csv(file: Path, progress: Progress | None, separator: str) -> pl.DataFrame:
    content = b"".join(block for _, block in text_blocks(file, progress))
    _refuse_wide(file, content.split(b"\n", 1)[0].count(separator.encode()) + 1)
    frame = _polars_csv(file, content, separator, header=True, quoted=True)
    twice = [match[1] for name in frame.columns if (match := re.fullmatch(r"(.+)_duplicated_\d+", name))]
    if twice:
        raise DataError(f"{file}: column {twice[0]}: expected once in the header, found several times; rename one")
    return located(_without_blank_lines(frame), file)


def _polars_csv(file: Path, content: bytes, separator: str, *, header: bool, quoted: bool) -> pl.DataFrame:
    """`infer_schema=False` keeps every value as it is written: leading zeros of an id are not lost."""
    quote = '"' if quoted else None
    try:
        return pl.read_csv(
            io.BytesIO(content), separator=separator, has_header=header, quote_char=quote, infer_schema=False
        )
    except pl.exceptions.NoDataError:
        raise DataError(f"{file}: expected rows, found an empty file; fill it, or take it away") from None
    except pl.exceptions.PolarsError as error:
        raise DataError(
            f"{file}: not a table separated by {separator!r}: {first_line(error)}; write fields that contain it in "
            "double quotes, or set data.separator"
        ) from None


def _refuse_wide(file: Path, columns: int) -> None:
    if columns > MOST_COLUMNS:
        raise DataError(
            f"{file}: expected at most {MOST_COLUMNS} columns, found {columns} in the header; keep those used"
        )


def _without_blank_lines(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.filter(~pl.all_horizontal(pl.all().is_null()))
