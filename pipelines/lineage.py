"""Which version of a table a step wrote, and which versions it had read: the table `lineage`.

A write that changes nothing leaves no trace: the rows that are live stay told by the step that has written them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

import polars as pl

from features.store import TableStore
from schemas.records import sha256
from schemas.tables import TABLES, conform

Place = tuple[str, str | None]  # table and night; None for a table that grows


@dataclass(frozen=True, slots=True)
class Source:
    """What was read: a version of a table, or a fitted model by its hash; `parts` None is all of it."""

    table: str
    version: int | None = None
    ds: str | None = None
    parts: Sequence[str] | None = None
    config_hash: str | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """What was written from what; `new`: by a commit of this step, else the same rows were live already."""

    step: str
    table: str
    version: int | None
    sources: tuple[Source, ...]
    split_id: str | None
    run_file: str | None
    written_at: int | None
    loregraph: str | None
    new: bool = True
    config_hash: str | None = None


@dataclass
class Trace:
    """What one step of a night has read and written so far."""

    step: str = ""
    split_id: str | None = None
    reads: dict[Place, Source] = field(default_factory=dict)
    written: list[Written] = field(default_factory=list)
    published: dict[str, dict[str, Any]] = field(default_factory=dict)  # table -> version, rows, new
    gates: list[dict[str, Any]] = field(default_factory=list)  # how the step's gates went

    def added(self, table: str) -> int:
        """Rows that the step has added to a growing table so far."""
        return int(self.published.get(table, {}).get("rows", 0))

    def read(self, table: str, version: int, ds: str | None) -> None:
        self.reads[table, ds] = Source(table, version, ds)

    def wrote(
        self, place: Place, version: int, new: bool, run_file: str | None, models: Sequence[Written] = ()
    ) -> None:
        """Keep that a version was written from all that was read until now, and by these models."""
        table, read = place[0], [source for read, source in self.reads.items() if read != place]
        sources = (*read, *(Source(model.table, config_hash=model.config_hash) for model in models))
        now = int(time.time())
        mine = Written(self.step, table, version, sources, self.split_id, run_file, now, loregraph_version(), new)
        told = {each.table for each in (mine, *models)}
        self.written = [*(each for each in self.written if each.table not in told), *models, mine]

    def sources(self, parts: Mapping[str, Sequence[str] | None]) -> list[Source]:
        """Those tables among what was read last, and which parts of them (None: all)."""
        found = [source for source in self.reads.values() if source.table in parts]
        return [replace(each, parts=parts[each.table]) for each in found]


def save_lineage(store: TableStore, ds: str, trace: Trace) -> None:
    """Add what a step has written to tonight's lineage, in one commit."""
    if not trace.written:
        return
    rows = store.read("lineage", ds=ds) if store.exists("lineage", ds) else TABLES["lineage"].empty()
    for each in trace.written:
        rows = _with(store, ds, rows, each)
    store.overwrite("lineage", conform("lineage", rows), ds)
    trace.written.clear()


def loregraph_version() -> str:
    return version_of("loregraph")


def file_hash(file: Path) -> str | None:
    """The sha256 of a run file; None where it is gone."""
    return sha256(file.read_text(encoding="utf-8")) if file.exists() else None


def _with(store: TableStore, ds: str, rows: pl.DataFrame, each: Written) -> pl.DataFrame:
    mine = rows.filter(pl.col("table") == each.table)
    if each.version is None:  # a model: its folder says the same every time
        return pl.concat([rows.filter(pl.col("table") != each.table), _rows(each)])
    latest = mine["version"].max()
    if not each.new and isinstance(latest, int) and store.untouched(each.table, ds, latest):
        return rows
    gone = (pl.col("table") == each.table) & (pl.col("version") >= each.version)  # of a table that was made anew
    return pl.concat([rows.filter(~gone), _rows(each)])


def _rows(each: Written) -> pl.DataFrame:
    about = {
        "step": each.step,
        "table": each.table,
        "version": each.version,
        "config_hash": each.config_hash,
        "split_id": each.split_id,
        "run_file": each.run_file,
        "loregraph": each.loregraph,
        "written_at": each.written_at,
    }
    rows = [
        {
            **about,
            "source": source.table if source else None,
            "source_ds": source.ds if source else None,
            "source_version": source.version if source else None,
            "parts": list(source.parts) if source and source.parts is not None else None,
            "source_hash": source.config_hash if source else None,
        }
        for source in each.sources or (None,)
    ]
    return pl.DataFrame(rows, schema=dict(TABLES["lineage"].columns))
