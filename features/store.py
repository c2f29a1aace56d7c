"""The lake: named Delta tables, one partition per night, every version readable later."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import date
from pathlib import Path
from typing import Protocol

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.fs import DeltaStorageHandler
from pyarrow.fs import FileSelector, FileType, PyFileSystem

from features.blocks import ROWS_AT_ONCE, Spool, same_content
from features.delta import (
    PARTITION,
    files_of,
    nights,
    same_night,
    sync_commits,
    write_next,
    write_night,
    write_night_blocks,
    write_rows,
)
from features.storable import same_rows, storable
from schemas.errors import StoreError, unknown_name

NAME = re.compile(r"[a-z][a-z0-9_]*")


class TableStore(Protocol):
    """Named, versioned tables. Every write is one commit: a reader sees all of it or nothing."""

    root: str

    def read(
        self,
        name: str,
        ds: str | None = None,
        version: int | None = None,
        columns: Sequence[str] | None = None,
        where: pl.Expr | None = None,
    ) -> pl.DataFrame:
        """The whole table with its `ds` column, or the rows of one night without it; `version` None is the live one.

        Only the rows for which `where` is true are read into memory. Raises StoreError where the table, the version,
        the night or a column is not there.
        """
        ...

    def overwrite(self, name: str, frame: pl.DataFrame, ds: str) -> int:
        """Make `frame` the whole content of one night and return the table's version.

        Other nights stay. Rows that are live already, in any order, are not written again. A `ds` column of the frame
        is replaced, new columns are added to the table. Raises StoreError.
        """
        ...

    def overwrite_blocks(self, name: str, blocks: Iterable[pl.DataFrame], ds: str, folder: Path) -> tuple[int, int]:
        """`overwrite` with rows in blocks of the same columns, at least one, that are never in memory together.

        They are kept in a file in `folder` until all have come: a block that cannot be made leaves the table as it is.
        Returns the table's version and the number of rows.
        """
        ...

    def append(self, name: str, frame: pl.DataFrame, key: tuple[str, ...]) -> int:
        """Add the rows whose `key` the (unpartitioned) table does not have; returns how many. One writer at a time."""
        ...

    def replace(self, name: str, frame: pl.DataFrame, after: int | None) -> int:
        """Make `frame` the whole content of an unpartitioned table whose live version is `after` (None: there is none).

        Returns the new version. Of two writers at once one gets a StoreError, and has written nothing.
        """
        ...

    def fitted(self, name: str, schema: pl.Schema, ds: str | None) -> pl.Schema:
        """The columns as the table stores them, for rows that another engine writes. Raises StoreError as writes do."""
        ...

    def committing(self, name: str) -> AbstractContextManager[str]:
        """The table's address for commits of files that another engine has written; they are flushed afterwards.

        Raises StoreError where none was made, and in place of what deltalake raises.
        """
        ...

    def exists(self, name: str, ds: str | None = None) -> bool:
        """Whether the table, or one night of it, was ever published; a night without rows counts."""
        ...

    def version(self, name: str) -> int:
        """The live version. Raises StoreError where the table is not there."""
        ...

    def untouched(self, name: str, ds: str, since: int) -> bool:
        """Whether no commit after version `since` has written the night; false where that version cannot be read.

        Compaction, which puts the same rows into other files, does not count.
        """
        ...

    def partitions(self, name: str) -> list[str]:
        """The nights of a table, oldest first; empty for a table without nights."""
        ...

    def names(self) -> list[str]:
        """The tables of the lake, sorted."""
        ...


class DeltaStore:
    """A TableStore of Delta tables in a local folder or below an object-store URL."""

    def __init__(self, root: str) -> None:
        self.root = root.removeprefix("file://").rstrip("/") or "/"
        self._local = None if "://" in self.root else Path(self.root)

    def read(
        self,
        name: str,
        ds: str | None = None,
        version: int | None = None,
        columns: Sequence[str] | None = None,
        where: pl.Expr | None = None,
    ) -> pl.DataFrame:
        table = self._open(name, version)
        if ds is not None and ds not in nights(table):
            raise StoreError(self._no_night(name, ds, nights(table)))
        rows = pl.scan_delta(table)
        if ds is not None:
            rows = rows.filter(pl.col(PARTITION) == ds).drop(PARTITION)
        with self._reading(name):
            missing = [column for column in columns or () if column not in rows.collect_schema()]
            if missing:
                raise StoreError(
                    unknown_name(f"{self._place(name)}: column", missing[0], rows.collect_schema().names())
                )
            rows = rows if where is None else rows.filter(where)
            return (rows if columns is None else rows.select(columns)).collect()

    def overwrite(self, name: str, frame: pl.DataFrame, ds: str) -> int:
        table = self._find(name)
        rows = self._fit(name, frame.drop(PARTITION, strict=False), table, _valid_night(ds))
        if table is not None and ds in nights(table) and same_rows(rows, self.read(name, ds, table.version())):
            return int(table.version())
        with self._committing(name, table):
            write_night(self._uri(name), rows, ds)
        return self.version(name)

    def overwrite_blocks(self, name: str, blocks: Iterable[pl.DataFrame], ds: str, folder: Path) -> tuple[int, int]:
        table = self._find(name)
        with Spool(folder) as spool:
            for block in blocks:
                spool.add(self._fit(name, block.drop(PARTITION, strict=False), table, _valid_night(ds)))
            rows = spool.digest.rows
            if not rows:
                return self.overwrite(name, spool.schema.to_frame(), ds), 0
            if table is not None and ds in nights(table) and self._has(name, ds, table, spool):
                return int(table.version()), rows
            with self._committing(name, table):
                write_night_blocks(self._uri(name), spool.read(), ds)
        return self.version(name), rows

    def append(self, name: str, frame: pl.DataFrame, key: tuple[str, ...]) -> int:
        table = self._find(name)
        rows = self._fit(name, frame, table, None).unique(key, keep="first", maintain_order=True)
        if table is not None:
            rows = rows.join(self.read(name, columns=key), on=key, how="anti", maintain_order="left")
        if rows.height or table is None:
            with self._committing(name, table):
                write_rows(self._uri(name), rows)
        return rows.height

    def replace(self, name: str, frame: pl.DataFrame, after: int | None) -> int:
        table = self._find(name)
        live = None if table is None else int(table.version())
        if live != after:
            raise StoreError(
                f"{self._place(name)}: expected version {after}, found {live}: another writer came first; run it again"
            )
        rows = self._fit(name, frame, table, None)
        with self._committing(name, table):
            write_next(self._uri(name), table, rows)
        return 0 if after is None else after + 1

    def fitted(self, name: str, schema: pl.Schema, ds: str | None) -> pl.Schema:
        return self._fit(name, schema.to_frame(), self._find(name), ds if ds is None else _valid_night(ds)).schema

    @contextmanager
    def committing(self, name: str) -> Iterator[str]:
        with self._committing(name, self._find(name)):
            yield self._uri(name)

    def exists(self, name: str, ds: str | None = None) -> bool:
        table = self._find(name)
        return table is not None and (ds is None or ds in nights(table))

    def version(self, name: str) -> int:
        return int(self._open(name).version())

    def untouched(self, name: str, ds: str, since: int) -> bool:
        live = self._open(name)
        if live.version() == since:
            return True
        try:
            same = files_of(live, ds) == files_of(DeltaTable(self._uri(name), version=since), ds)
            return same or same_night(live, ds, since)
        except (DeltaError, OSError):
            return False

    def partitions(self, name: str) -> list[str]:
        return nights(self._open(name))

    def names(self) -> list[str]:
        return sorted(name for name in self._folders() if NAME.fullmatch(name) and self._is_table(name))

    def _has(self, name: str, ds: str, table: DeltaTable, spool: Spool) -> bool:
        """Whether a night holds the rows of a spool already."""
        live = pl.scan_delta(table).filter(pl.col(PARTITION) == ds).drop(PARTITION)
        with self._reading(name):
            return same_content(spool, live.collect_batches(chunk_size=ROWS_AT_ONCE, maintain_order=False))

    def _folders(self) -> list[str]:
        if self._local is not None:
            return [path.name for path in self._local.iterdir() if path.is_dir()] if self._local.is_dir() else []
        with self._reading("*"):
            listing = PyFileSystem(DeltaStorageHandler(self.root)).get_file_info(FileSelector("", allow_not_found=True))
            return [entry.base_name for entry in listing if entry.type == FileType.Directory]

    def _uri(self, name: str) -> str:
        if not NAME.fullmatch(name):
            raise StoreError(
                f"lake {self.root}: table {name!r}: expected lower-case letters, digits and _ after a letter"
            )
        return f"{self.root}/{name}"

    def _place(self, name: str) -> str:
        return f"lake {self.root}: table {name}"

    def _is_table(self, name: str) -> bool:
        uri = self._uri(name)
        if self._local is not None and not Path(uri).is_dir():
            return False  # deltalake takes a missing folder and a forbidden one for the same
        with self._reading(name):
            return bool(DeltaTable.is_deltatable(uri))

    def _find(self, name: str) -> DeltaTable | None:
        return self._open(name) if self._is_table(name) else None

    def _open(self, name: str, version: int | None = None) -> DeltaTable:
        if not self._is_table(name):
            raise StoreError(
                unknown_name(f"lake {self.root}: table", name, self.names()) + "; `loregraph night` makes the tables"
            )
        with self._reading(name):
            table = DeltaTable(self._uri(name))
            if version is None or version == table.version():
                return table
            if not 0 <= version < table.version():
                raise StoreError(
                    f"{self._place(name)}: version {version} is not there, the live one is {table.version()}"
                )
            return DeltaTable(self._uri(name), version=version)

    def _fit(self, name: str, frame: pl.DataFrame, table: DeltaTable | None, ds: str | None) -> pl.DataFrame:
        """The frame as it will be stored. Raises StoreError where the table's columns or nights have another shape."""
        if not frame.width:
            raise StoreError(f"{self._place(name)}: expected a frame with columns, found none")
        live = pl.scan_delta(table).collect_schema() if table is not None else pl.Schema()
        if table is not None and (ds is not None) != (PARTITION in live):
            have, need = ("nights", "append") if ds is None else ("no nights", "overwrite")
            raise StoreError(
                f"{self._place(name)}: has {have}, so {need} cannot write it; write to a table of another name"
            )
        rows = storable(frame, live)
        for column, dtype in rows.schema.items():
            if column in live and dtype != live[column]:
                raise StoreError(
                    f"{self._place(name)}: column {column}: expected {live[column]}, found {dtype}; "
                    "cast it, or write to another lake"
                )
        return rows

    def _no_night(self, name: str, ds: str, published: list[str]) -> str:
        near = sorted(sorted(published, key=lambda night: _distance(night, ds))[:3])
        return (
            f"{self._place(name)}: ds {ds} is not there (nearest: {', '.join(near) or 'none'}); "
            f"`loregraph night --ds {ds}` makes it"
        )

    @contextmanager
    def _reading(self, name: str) -> Iterator[None]:
        """Turn what deltalake and Polars raise while reading into a StoreError."""
        try:
            yield
        except (DeltaError, OSError, pl.exceptions.PolarsError) as error:
            advice = "check the address and its credentials; if they are right, " if self._local is None else ""
            raise StoreError(
                f"{self._place(name)}: cannot be read: {_first_line(error)}; "
                f"{advice}restore its folder from a copy, or move it away and run the nights again"
            ) from error

    @contextmanager
    def _committing(self, name: str, before: DeltaTable | None) -> Iterator[None]:
        """Turn what a write raises into a StoreError, check that a version was added, and flush it to disk."""
        try:
            yield
            first = 0 if before is None else before.version() + 1
            last = DeltaTable(self._uri(name)).version()
            if last < first:
                raise StoreError(f"{self._place(name)}: the write ended without a new version; run the step again")
            if self._local is not None:
                sync_commits(self._local / name, first, last)
        except CommitFailedError as error:
            raise StoreError(
                f"{self._place(name)}: another writer changed the same rows at the same time: {_first_line(error)}; "
                "run the step again"
            ) from error
        except (TableNotFoundError, DeltaError, OSError) as error:
            raise StoreError(
                f"{self._place(name)}: cannot be written: {_first_line(error)}; "
                "check that the lake may be written and has room, or name another with --lake"
            ) from error


def _valid_night(ds: str) -> str:
    if re.fullmatch(r"\d{4}-\d\d-\d\d", ds):
        try:
            return date.fromisoformat(ds).isoformat()
        except ValueError:
            pass
    raise StoreError(f"ds {ds!r}: expected a day as YYYY-MM-DD")


def _distance(night: str, ds: str) -> tuple[int, str]:
    """Days between two nights; what is no day is far away."""
    try:
        return abs((date.fromisoformat(night) - date.fromisoformat(ds)).days), night
    except ValueError:
        return 10**9, night


def _first_line(error: Exception) -> str:
    plain = re.sub(r"\x1b\[[0-9;]*m|↳", "", str(error).split("\n   0:")[0])
    return " ".join(plain.split())
