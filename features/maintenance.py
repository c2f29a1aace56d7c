"""Keeping a lake small: files of one night put together, and files that no kept version names taken away.

Delta writes at most one file per night and chunk, so a table that grows has many small ones. Compaction changes no row,
and a vacuum keeps every version that a kept release pins or was made from, so both can be read as before.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError, DeltaError

from features.delta import KEEP_LOG, sync_commits
from features.releases import Release
from features.store import DeltaStore
from schemas.errors import StoreError

DAY = 86_400


@dataclass(frozen=True, slots=True)
class Compacted:
    """What became of a table's files; `version` is the live one, the same as before where nothing was to be done."""

    table: str
    version: int
    files_before: int
    files_after: int


@dataclass(frozen=True, slots=True)
class Vacuumed:
    """Which versions of a table stay readable, and what was (dry run: would be) deleted; bytes of local files."""

    table: str
    kept: tuple[int, ...]
    files: int
    bytes: int


def compact(store: DeltaStore, name: str) -> Compacted:
    """Put the small files of each night (or of a growing table) together, in one commit that changes no row.

    Raises StoreError where another writer changes the same files meanwhile: nothing is then changed.
    """
    table = _open(store, name)
    version, rows, files = int(table.version()), table.count(), len(table.file_uris())
    with _maintaining(store, name):
        table.optimize.compact()  # the table is then at its new version
        _flush(store, name, version)
        live = DeltaTable(table.table_uri)
        if live.version() == version + 1 and live.count() != rows:
            raise StoreError(
                f"lake {store.root}: table {name}: compaction made {live.count()} rows of {rows}; version {version} "
                "has all of them: restore the table's folder from a copy"
            )
    return Compacted(name, int(live.version()), files, len(live.file_uris()))


def vacuum(store: DeltaStore, name: str, pins: Iterable[int], days: int, dry_run: bool) -> Vacuumed:
    """Delete the files of a table that no kept version names, and those that killed writers have left.

    Kept are the versions in `pins`, the live one, and all that were live within `days` days. Log entries stay for
    ever: they are small, and a version cannot be opened without them. With `days` 0 no other process may write
    meanwhile: what it has not committed yet would go too. Raises StoreError where a version of `pins` cannot be opened.
    """
    table = _open(store, name)
    with _maintaining(store, name):
        version = int(table.version())
        kept = sorted({*_recent(table, days), *(pin for pin in pins if pin <= version)})
        settings: dict[str, Any] = {"full": True, "enforce_retention_duration": False, "keep_versions": kept}
        sizes = _sizes(store, name, table.vacuum(24 * days, dry_run=True, **settings))
        found = Vacuumed(name, tuple(kept), len(sizes), sum(sizes))
        if not dry_run and not KEEP_LOG.items() <= table.metadata().configuration.items():
            table.alter.set_table_properties(KEEP_LOG)  # a table from before this setting
        if sizes and not dry_run:
            DeltaTable(table.table_uri).vacuum(24 * days, dry_run=False, **settings)
        _flush(store, name, version)
    return found


def pinned_versions(store: DeltaStore, releases: Iterable[Release]) -> Mapping[str, set[int]]:
    """The versions that releases pin, by table, and those that their tables were made from, as `lineage` tells."""
    pins: dict[str, set[int]] = defaultdict(set)
    for release in releases:
        for name, version in release.tables.items():
            pins[name].add(version)
        if "lineage" in release.tables:
            for name, version in _sources(store, release):
                pins[name].add(version)
    return pins


def _sources(store: DeltaStore, release: Release) -> Iterator[tuple[str, int]]:
    told = store.read("lineage", release.ds, release.tables["lineage"])
    for name, version in (("table", "version"), ("source", "source_version")):
        yield from told.select(name, version).drop_nulls().unique().filter(~pl.col(name).str.contains(":")).iter_rows()


def _recent(table: DeltaTable, days: int) -> list[int]:
    """The live version, and those that were followed by another one less than `days` days ago."""
    since = 1000 * (time.time() - days * DAY)
    history = {int(entry["version"]): int(entry["timestamp"]) for entry in table.history()}
    return [int(table.version()), *(version - 1 for version, made in history.items() if version and made >= since)]


def _open(store: DeltaStore, name: str) -> DeltaTable:
    store.version(name)  # says what is wrong with a table that cannot be opened
    return DeltaTable(f"{store.root}/{name}")


def _folder(store: DeltaStore, name: str) -> Path | None:
    return None if "://" in store.root else Path(store.root) / name


def _flush(store: DeltaStore, name: str, version: int) -> None:
    """Flush what was committed after a version: what a vacuum leaves must be on the disk before it deletes the rest."""
    last = store.version(name)
    if (folder := _folder(store, name)) is not None and last > version:
        sync_commits(folder, version + 1, last)


def _sizes(store: DeltaStore, name: str, files: Iterable[str]) -> list[int]:
    """Bytes of local files, without those that an earlier vacuum has deleted; of others, which are not looked at, 0."""
    if (folder := _folder(store, name)) is None:
        return [0 for _ in files]
    return [(folder / unquote(file)).stat().st_size for file in files if (folder / unquote(file)).exists()]


@contextmanager
def _maintaining(store: DeltaStore, name: str) -> Iterator[None]:
    try:
        yield
    except CommitFailedError as error:
        raise StoreError(
            f"lake {store.root}: table {name}: another writer changed the same files at the same time: {error}; "
            "run it again when no night runs"
        ) from error
    except (DeltaError, OSError) as error:
        raise StoreError(
            f"lake {store.root}: table {name}: cannot be maintained: {error}; where it names a file or version that is "
            "gone, keep fewer releases or restore the table's folder from a copy"
        ) from error
