"""One run as the page reads it: its run file, its tables in their live versions, and the records of its nights."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from features.store import DeltaStore
from pipelines.night import work_folder
from pipelines.watching.history import read_history
from pipelines.why.past import Past
from schemas.errors import DataError, StoreError
from schemas.run import Run, load_run
from schemas.tables import TABLES

Counts = dict[str, Any]
FRAMES = 24  # nights of tables that are kept in memory; the one that was asked for longest ago goes first


class Shelf:
    """The tables and records of a run. What is read is kept by version, so a page does not read twice what stays."""

    def __init__(self, file: Path, lake: str | None = None) -> None:
        self.file, self._lake = file, lake
        self.run: Run = load_run(file, lake=lake)
        self.store = DeltaStore(self.run.lake)
        self.work = work_folder(self.run)
        self._frames: OrderedDict[Hashable, pl.DataFrame] = OrderedDict()
        self._making: dict[Hashable, threading.Lock] = {}
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        return self.run.name

    def nights(self) -> list[str]:
        """The nights that have tables, oldest first."""
        return self.store.partitions("users") if self.store.exists("users") else []

    def night(self, ds: str | None) -> str:
        """The night that is meant: the one named, else the latest. Raises StoreError where there is none."""
        nights = self.nights()
        if not nights:
            raise StoreError(f"{self.run.lake}: no night yet; run `loregraph night --run {self.file}` first")
        if ds and ds not in nights:
            raise StoreError(f"night {ds}: not in {self.run.lake} (there are {nights[0]} to {nights[-1]})")
        return ds or nights[-1]

    def has(self, table: str, ds: str | None = None) -> bool:
        return self.store.exists(table, ds if TABLES[table].nightly else None)

    def frame(self, table: str, ds: str | None = None) -> pl.DataFrame:
        """A night of a table as it is live, or all of one that grows; no rows where it was never published."""
        night = ds if TABLES[table].nightly else None
        if not self.store.exists(table, night):
            return TABLES[table].empty()
        version = self.store.version(table)
        return self._kept((table, night, version), lambda: self.store.read(table, night, version))

    def made(
        self, tables: Mapping[str, Sequence[str] | None], ds: str, make: Callable[..., pl.DataFrame]
    ) -> pl.DataFrame:
        """What `make` makes of a night of some tables (their columns, or all); again only where a version is another.

        What it is made of is not kept.
        """
        versions = [self.store.version(table) if self.has(table, ds) else None for table in tables]
        key = (make.__qualname__, *tables, ds, *versions)
        return self._kept(key, lambda: make(*(self._read(table, ds, columns) for table, columns in tables.items())))

    def past(self, ds: str) -> Past:
        """The tables in the versions that belong to a night."""
        return Past(self.store, ds)

    def history(self, most: int | None = None) -> list[Counts]:
        """The summaries of the last `most` nights that have run a step, oldest first."""
        return read_history(self.run, self.work, most=most)

    def folder(self, ds: str) -> Path:
        """Records and reports of a night."""
        return self.work / "nights" / ds

    def _read(self, table: str, ds: str, columns: Sequence[str] | None) -> pl.DataFrame:
        return self.store.read(table, ds, columns=columns) if self.has(table, ds) else TABLES[table].empty()

    def _kept(self, key: Hashable, make: Callable[[], pl.DataFrame]) -> pl.DataFrame:
        """The frame of a key, made once even where several requests want it at the same time."""
        with self._lock:
            making = self._making.setdefault(key, threading.Lock())
        with making:
            if (found := self._found(key)) is not None:
                return found
            frame = make()
            with self._lock:
                self._frames[key] = frame
                while len(self._frames) > FRAMES:
                    self._making.pop(self._frames.popitem(last=False)[0], None)
            return frame

    def _found(self, key: Hashable) -> pl.DataFrame | None:
        with self._lock:
            if key in self._frames:
                self._frames.move_to_end(key)
            return self._frames.get(key)


def shelves_of(files: list[Path], lake: str | None = None) -> Mapping[str, Shelf]:
    """A shelf per run file, by the run's name. Raises DataError where two have the same name."""
    found: dict[str, Shelf] = {}
    for file in files:
        shelf = Shelf(file, lake)
        if shelf.name in found:
            raise DataError(f"{file}: run {shelf.name} is also that of {found[shelf.name].file}; give one another name")
        found[shelf.name] = shelf
    return found
