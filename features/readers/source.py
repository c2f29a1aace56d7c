"""What a reader finds in a folder (`Raw`), what comes out of it after the rules (`Source`), and the reader's shape."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from schemas.records import Kind
from schemas.sections import Data

Progress = Callable[[str, int, int], None]  # what is read, bytes done, bytes in total (0 when not known)

FILE, ROW = "_file", "_row"  # where a raw row came from; rows are counted from 1, without header and blank lines
REJECTS = pl.Schema({"file": pl.String, "row": pl.Int64, "id": pl.String, "reason": pl.String, "detail": pl.String})


@dataclass(frozen=True)
class Raw:
    """Tables under our column names with the source's own types. Each also has the columns `_file` and `_row`."""

    interactions: pl.DataFrame  # user_id, item_id, and rating, timestamp, position, split, review where there are any
    items: pl.DataFrame | None  # id, attributes; None where the source has no such file
    users: pl.DataFrame | None
    time_unit: str  # s, ms or us
    notes: tuple[str, ...] = ()

    def table(self, kind: Kind) -> pl.DataFrame | None:
        """The catalogue of a kind."""
        return self.users if kind == "user" else self.items


@dataclass(frozen=True)
class Source:
    """A data set after the rules of `features.readers.checks`.

    `users`, `items`: `id` and attributes, all String, an attribute that is not there is null. `interactions`: user_id
    and item_id String, and where the source has them rating Float32, timestamp Int64 (unix seconds), position Int64
    (order within the user), split String (train, valid, test), review String. `rejects`: file, row, id, reason, detail.
    """

    users: pl.DataFrame
    items: pl.DataFrame
    interactions: pl.DataFrame
    rejects: pl.DataFrame
    notes: tuple[str, ...] = ()  # the documented rules that applied, with counts


@dataclass(frozen=True)
class Reader:
    """One source layout: the files it expects, where they are below a folder, and how to read them."""

    expects: str  # file names, for error messages
    locate: Callable[[Path, Data], Path | None]  # the folder that holds the files, None when there is no data yet
    read: Callable[[Path, Data, Progress | None], Raw]


def folder_with(folder: Path, holds: Callable[[Path], bool]) -> Path | None:
    """`folder` itself or its first subfolder by name that `holds`: archives often bring a folder of their own."""
    children = (child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))
    candidates = [folder, *sorted(children)] if folder.is_dir() else []
    return next((candidate for candidate in candidates if holds(candidate)), None)


def located(frame: pl.DataFrame, file: Path) -> pl.DataFrame:
    """The frame with the columns `_file` (categorical) and `_row` (from 1)."""
    file_column = pl.lit(str(file)).cast(pl.Categorical).alias(FILE)
    return frame.with_columns(file_column, pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias(ROW))


def file_of(frame: pl.DataFrame) -> str:
    """The file of a frame's first row, for messages about the frame as a whole."""
    return str(frame[FILE].first())


def no_rejects() -> pl.DataFrame:
    return pl.DataFrame(schema=REJECTS)


def all_rejects(parts: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Several rejects tables as one, in the order of files and rows."""
    return pl.concat([no_rejects(), *parts]).sort("file", "row", maintain_order=True)
