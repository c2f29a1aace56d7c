"""The tables of a night in the versions that belong to it: what was written, from what, and by whom."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl
from rapidfuzz import process

from features.store import TableStore
from pipelines.lineage import Source
from schemas.errors import StoreError
from schemas.tables import TABLES

Row = dict[str, Any]
MODEL = "model:"  # how `lineage` names a fitted model


@dataclass(frozen=True, slots=True)
class Version:
    """One night of a table (or a fitted model) as it was read, and what `lineage` says of how it came to be.

    `version` is the one that is read here; `written_as` the one that wrote these rows. None is what was not stored.
    """

    table: str
    ds: str | None
    version: int | None
    written_as: int | None = None
    step: str | None = None
    written_at: int | None = None
    run_file: str | None = None
    loregraph: str | None = None
    split_id: str | None = None
    config_hash: str | None = None
    made_from: tuple[Source, ...] = ()


class Past:
    """A lake as one night knew it. Nothing is read but tables; those that were read are kept for `to_json`."""

    def __init__(self, store: TableStore, ds: str) -> None:
        self.store, self.ds = store, ds
        self._seen: dict[tuple[str, str | None, int | None], Version] = {}
        self._lineage: dict[str, pl.DataFrame] = {}
        self._calls: dict[str, Row | None] = {}

    def version(self, table: str, ds: str | None = None, read: int | None = None) -> Version | None:
        """A night of a table as version `read` has it, by default as it was written last; None where there is none."""
        night = ds or self.ds
        rows = self._rows_of(table, night)
        rows = rows if read is None else rows.filter(pl.col("version") <= read)
        if rows.is_empty() and read is None and not (table in TABLES and self.store.exists(table, night)):
            return None
        nightly = table in TABLES and TABLES[table].nightly
        found = _version(table, night if nightly else None, read, rows)
        return self._seen.setdefault((table, found.ds, found.version), found)

    def source(self, of: Version | None, table: str) -> Version | None:
        """The version of a table that another was made from; of one without lineage the night's own."""
        if of is None or of.step is None:
            return self.version(table)
        found = next((each for each in of.made_from if each.table == table), None)
        return None if found is None else self.version(table, found.ds, found.version)

    def read(self, version: Version | None, where: pl.Expr, columns: Sequence[str] | None = None) -> list[Row]:
        """Rows of a version; none where there is no such version."""
        if version is None:
            return []
        table, ds = version.table, version.ds
        try:
            return self.store.read(table, ds, version.version, columns, where).to_dicts()
        except StoreError:  # no longer kept, after a year: the live rows, if nothing was written since
            if ds is None or self._rows_of(table, ds)["version"].max() != version.written_as:
                raise
            return self.store.read(table, ds, None, columns, where).to_dicts()

    def calls(self, keys: Iterable[str]) -> dict[str, Row]:
        """The rows of the table `calls`; a key that it does not have is absent."""
        new = [key for key in dict.fromkeys(keys) if key and key not in self._calls]
        if new and self.store.exists("calls"):
            live = self.version("calls", read=self.store.version("calls"))
            self._calls |= dict.fromkeys(new) | {row["key"]: row for row in self.read(live, pl.col("key").is_in(new))}
        return {key: row for key in keys if (row := self._calls.get(key)) is not None}

    def nearest(self, version: Version | None, column: str, id: str) -> str:
        """Ids of a table that look like one that is not there, for a message."""
        if version is None:
            return "none"
        known = self.store.read(version.table, version.ds, version.version, [column])[column].unique().sort()
        return ", ".join(str(name) for name, *_ in process.extract(id, known.to_list(), limit=3)) or "none"

    def to_json(self) -> list[Row]:
        """Every version that was read so far."""
        return [asdict(version) for version in self._seen.values()]

    def _rows_of(self, table: str, ds: str) -> pl.DataFrame:
        if ds not in self._lineage:
            there = self.store.exists("lineage", ds)
            self._lineage[ds] = self.store.read("lineage", ds) if there else TABLES["lineage"].empty()
        return self._lineage[ds].filter(pl.col("table") == table)


def _version(table: str, ds: str | None, read: int | None, rows: pl.DataFrame) -> Version:
    """The latest of the versions that lineage rows tell of, read as version `read`."""
    if rows.is_empty():
        return Version(table, ds, read)
    latest = rows.filter(pl.col("version").eq_missing(pl.lit(rows["version"].max(), pl.Int64)))
    last = latest.sort("written_at").row(-1, named=True)
    told = latest.filter(pl.col("step") == last["step"], pl.col("source").is_not_null()).to_dicts()
    about = {name: last[name] for name in ("step", "written_at", "run_file", "loregraph", "split_id")}
    return Version(
        table,
        ds,
        last["version"] if read is None else read,
        last["version"],
        **about,
        config_hash=last["config_hash"],
        made_from=tuple(_source(row) for row in told),
    )


def _source(row: Row) -> Source:
    return Source(row["source"], row["source_version"], row["source_ds"], row["parts"], row["source_hash"])
