"""UTF-8 text and JSON lines, plain or gzipped, in blocks; what cannot be read is named with byte, line and fix."""

from __future__ import annotations

import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NoReturn, cast

import polars as pl

from features.readers.source import Progress, located
from schemas.errors import DataError

BLOCK = 16 * 2**20  # bytes of text held at once
LONGEST_LINE = 64 * 2**20  # bytes
FIELD, MOST_FIELDS = re.compile(rb'"([^"\\]{1,200})"\s*:'), 2_000
UTF16 = (b"\xff\xfe", b"\xfe\xff")  # how such a file begins
MAX_GROWTH, SLACK = 200, 64 * 2**20  # unpacked bytes per packed byte, and besides: as of archives
BOM = b"\xef\xbb\xbf"


def read_json_lines(file: Path, schema: Mapping[str, pl.DataType] | None, progress: Progress | None) -> pl.DataFrame:
    """JSON lines, parsed in blocks of 16 MiB so that only the columns of `schema` stay in memory (all when None).

    Raises DataError naming file and line.
    """
    frames = [pl.DataFrame(schema=schema)]
    for line, block in text_blocks(file, progress):
        frames += [_json_block(file, line, block, schema)] if block.strip() else []
    try:
        return located(pl.concat(frames, how="diagonal_relaxed"), file)
    except pl.exceptions.PolarsError as error:
        raise DataError(f"{file}: expected one type per field, found several: {first_line(error)}") from None


def text_blocks(file: Path, progress: Progress | None = None) -> Iterator[tuple[int, bytes]]:
    """Whole lines in blocks of at least 16 MiB, checked to be UTF-8, each with the number of its first line."""
    line, offset, total = 1, 0, file.stat().st_size if file.exists() else 0
    with reading(file), file.open("rb") as stored:
        source = cast(IO[bytes], gzip.GzipFile(fileobj=stored) if file.suffix == ".gz" else stored)
        while block := source.read(BLOCK) + source.readline(LONGEST_LINE):
            if not block.endswith(b"\n") and source.read(1):
                where = line + block.count(b"\n")
                raise DataError(
                    f"{file}: line {where}: expected at most {LONGEST_LINE // 2**20} MiB, found more; cut it"
                )
            _check_utf8(file, block, line, offset)
            _check_ends(file, block, line)
            if source is not stored and offset + len(block) > MAX_GROWTH * total + SLACK:
                raise DataError(
                    f"{file}: refused: {total} bytes unpack to more than {MAX_GROWTH} times as many; unpack it "
                    "yourself if that is what it holds"
                )
            yield line, block.removeprefix(BOM) if offset == 0 else block
            line, offset = line + block.count(b"\n"), offset + len(block)
            if progress:
                progress(file.name, stored.tell(), total)


@contextmanager
def reading(file: Path) -> Iterator[None]:
    """Turns what opening or unpacking a file can raise into a DataError that names it."""
    try:
        yield
    except FileNotFoundError:
        raise DataError(f"{file}: no such file") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{file}: not a whole gzip file ({error}); fetch it again") from None
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error}") from None


def first_line(error: Exception) -> str:
    """The first line of what polars says; the rest is advice for programmers."""
    return str(error).strip().split("\n")[0]


def _json_block(file: Path, line: int, block: bytes, schema: Mapping[str, pl.DataType] | None) -> pl.DataFrame:
    if schema is None:
        _refuse_wide(file, line, block)
    try:
        return pl.read_ndjson(io.BytesIO(block), schema=schema, infer_schema_length=None)
    except pl.exceptions.PolarsError as error:
        _name_bad_line(file, line, block)
        last = line + block.count(b"\n")
        raise DataError(f"{file}: lines {line} to {last}: expected one type per field: {first_line(error)}") from None


def _refuse_wide(file: Path, line: int, block: bytes) -> None:
    """Fields whose names are made up from line to line take time by their square."""
    names = set[bytes]()
    for match in FIELD.finditer(block):
        names.add(match[1])
        if len(names) > MOST_FIELDS:
            number = line + block.count(b"\n", 0, match.start())
            raise DataError(
                f"{file}: line {number}: expected at most {MOST_FIELDS} fields in all lines, found more; "
                "give a field one name"
            )


def _name_bad_line(file: Path, first: int, block: bytes) -> None:
    """Looks for the line that is no JSON object; only called when polars has refused the block."""
    for number, text in enumerate(block.split(b"\n"), start=first):
        try:
            value = json.loads(text, parse_constant=_refuse) if text.strip() else {}
        except (ValueError, RecursionError) as error:
            raise DataError(f"{file}: line {number}: not valid JSON ({error}), found {_start(text)}") from None
        if not isinstance(value, dict):
            raise DataError(f"{file}: line {number}: expected a JSON object, found {_start(text)}")


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON value, write null")


def _check_utf8(file: Path, block: bytes, line: int, offset: int) -> None:
    try:
        block.decode("utf-8")
    except UnicodeDecodeError as error:
        row, byte = line + block.count(b"\n", 0, error.start), offset + error.start
        coding = "utf-16" if offset == 0 and block.startswith(UTF16) else "latin1"
        fixed = f"iconv -f {coding} -t utf-8 {file.name} > utf8-{file.name}"
        found = f"0x{block[error.start]:02x}"
        raise DataError(
            f"{file}: line {row}, byte {byte}: expected UTF-8, found {found}; convert the file, for example: {fixed}"
        ) from None


def _check_ends(file: Path, block: bytes, line: int) -> None:
    """Old spreadsheets end lines with CR alone; read as they are, the whole file would be its header."""
    if line == 1 and b"\n" not in block and b"\r" in block.rstrip(b"\r"):
        fixed = f"tr '\\r' '\\n' < {file.name} > lines-{file.name}"
        raise DataError(f"{file}: expected lines that end in LF or CR LF, found CR alone; convert it: {fixed}")


def _start(text: bytes) -> str:
    return repr(text[:60].decode("utf-8", "replace"))
