"""One night of one run: where its tables, ledger, models and records are, and how a step of it is run and recorded."""

from __future__ import annotations

import datetime
import functools
import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Concatenate, ParamSpec

import polars as pl

from features.corpus import Corpus, make_corpus
from features.store import DeltaStore, TableStore
from features.table_engine import Made, Place
from graph_models.processes import processes
from pipelines.disk import disk_errors
from pipelines.lineage import Trace, Written, file_hash, save_lineage
from pipelines.progress import Progress
from pipelines.watching.logs import wants_json
from pipelines.watching.steps import fields_of, watched
from schemas.errors import ConfigError, StoreError
from schemas.run import Run
from schemas.tables import TABLES, conform

Counts = dict[str, Any]
Arguments = ParamSpec("Arguments")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Night:
    """A run at a date. `ds` names the partition of every table that the night writes."""

    run: Run
    ds: str
    store: TableStore
    work: Path  # ledger, checkpoints, records, reports
    progress: Progress
    trace: Trace = field(default_factory=Trace)  # what the step that this was opened for has read and written
    records_steps: bool = True  # of several processes, the first one does

    def corpus(self) -> Corpus:
        """The indexed tables of this night; needs `ingest` and `split`."""
        corpus = make_corpus(self.read("users"), self.read("items"), self.read("splits"))
        self.trace.split_id = corpus.split_id
        return corpus

    def read(
        self,
        table: str,
        ds: str | None = None,
        columns: Sequence[str] | None = None,
        where: pl.Expr | None = None,
    ) -> pl.DataFrame:
        """Tonight's partition of a table, or another night's, in the version that is live now; of a growing one all.

        Of the rows only those for which `where` is true.
        """
        night = (ds or self.ds) if TABLES[table].nightly else None
        version = self.store.version(table)
        frame = self.store.read(table, ds=night, version=version, columns=columns, where=where)
        self.trace.read(table, version, night)
        return frame

    def empty(self, table: str) -> pl.DataFrame:
        """No rows, in the table's columns."""
        return TABLES[table].empty()

    def publish(self, table: str, frame: pl.DataFrame, models: Sequence[Written] = ()) -> int:
        """Make `frame`, the work of these models, tonight's partition of a table; returns the table's version."""
        before = self.store.version(table) if self.store.exists(table) else None
        if table == "splits":
            self.trace.split_id = next(iter(frame["split_id"]), None)
        version = self.store.overwrite(table, conform(table, frame), self.ds)
        self.trace.wrote((table, self.ds), version, version != before, file_hash(self.run.file), models)
        self._published(table, version, frame.height, version != before)
        return version

    def publish_blocks(
        self, table: str, blocks: Iterable[pl.DataFrame], models: Sequence[Written] = ()
    ) -> tuple[int, int]:
        """`publish` with rows that come block after block: readers see all or none; returns version and rows."""
        before = self.store.version(table) if self.store.exists(table) else None
        fitting = (conform(table, block) for block in blocks)
        version, rows = self.store.overwrite_blocks(table, fitting, self.ds, self.folder)
        self.trace.wrote((table, self.ds), version, version != before, file_hash(self.run.file), models)
        self._published(table, version, rows, version != before)
        return version, rows

    def place(self, table: str) -> Place:
        """Where a table engine reads tonight's partition of a table, or all of a growing one."""
        ds, version = self.ds if TABLES[table].nightly else None, self.store.version(table)
        self.trace.read(table, version, ds)
        return Place(self.store, table, ds, version)

    def publish_made(self, table: str, made: Made) -> int:
        """`publish` with rows of a table engine."""
        before = self.store.version(table) if self.store.exists(table) else None
        version, rows = made.publish(self.store, table, self.ds)
        self.trace.wrote((table, self.ds), version, version != before, file_hash(self.run.file))
        self._published(table, version, rows, version != before)
        return version

    def append(self, table: str, frame: pl.DataFrame) -> int:
        """Add the rows whose key a growing table does not have; returns how many."""
        return self._added(table, self.store.append(table, conform(table, frame), TABLES[table].key))

    def append_made(self, table: str, made: Made) -> int:
        """`append` with rows of a table engine, whose keys the table does not have."""
        return self._added(table, made.append(self.store, table))

    def _added(self, table: str, added: int) -> int:
        if added:
            version = self.store.version(table)
            self.trace.wrote((table, None), version, True, file_hash(self.run.file))
            self._published(table, version, self.trace.added(table) + added, True)
        return added

    def _published(self, table: str, version: int, rows: int, new: bool) -> None:
        """Keep and log what a table has got tonight; of a growing one the rows that this step has added."""
        told = {"version": version, "rows": rows, "new": new}
        self.trace.published[table] = told
        log.info("published", extra={"event": "published", "table": table, **told})

    @property
    def ledger(self) -> str | Path:
        """Where the ledger is: a database that several hosts share, or a file of this night's work folder."""
        return self.run.llm.ledger or self.work / "ledger.sqlite"

    @property
    def folder(self) -> Path:
        """Records and reports of this night."""
        return self.work / "nights" / self.ds

    def records(self, step: str) -> list[Counts]:
        """What the runs of a step reported; one entry, or one for every mapped part."""
        steps = self.folder / "steps"
        files = sorted(steps.glob(f"{step}.json")) + sorted(steps.glob(f"{step}--*.json"))
        return [json.loads(file.read_text(encoding="utf-8")) for file in files]

    def record(self, name: str, counts: Counts) -> None:
        if self.records_steps:
            write_json(self.folder / "steps" / f"{name}.json", counts)
            self._gated(name, counts)

    def _gated(self, name: str, counts: Counts) -> None:
        """Keep and log how a gate went, where the record is one of a gate."""
        if name.startswith("gate-") and "success" in counts:
            self.trace.gates.append(counts)
            failed = sum(not each.get("success", True) for each in counts.get("results", ()))
            told = {"table": counts.get("table"), "success": counts["success"], "failed": failed}
            log.log(
                logging.INFO if counts["success"] else logging.WARNING,
                "gate",
                extra={"event": "gate", **told, "of": len(counts.get("results", ())), "rows": counts.get("rows")},
            )


def open_night(run: Run, ds: str) -> Night:
    """Open a night's places. Raises ConfigError for a date that is none, StoreError for a folder it cannot make."""
    try:
        if datetime.date.fromisoformat(ds).isoformat() != ds:  # 20261122 would be another partition
            raise ValueError(ds)
    except ValueError:
        raise ConfigError(f"--ds: {ds!r}: expected a date such as 2026-11-22") from None
    work = work_folder(run)
    try:
        (work / "nights" / ds).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{work}: cannot write there ({error.strerror}); choose another --lake or `work`") from None
    leads = processes().leads
    shown = leads and not wants_json(run.watch.log)  # words among lines of JSON would be in the way of who reads them
    return Night(run, ds, DeltaStore(run.lake), work, Progress(shown), records_steps=leads)


def work_folder(run: Run) -> Path:
    """`work` of the run file; else `_work` inside a local lake, or .loregraph/NAME beside the run file for a URL."""
    if run.work is not None:
        return Path(run.work)
    return run.file.parent / ".loregraph" / run.name if "://" in run.lake else Path(run.lake) / "_work"


def today() -> str:
    """The date of tonight, UTC."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def last_night(run: Run) -> str:
    """The date of the latest night that has split its data; today where there is none."""
    splits = sorted(work_folder(run).glob("nights/*/steps/split.json"))
    return splits[-1].parents[1].name if splits else today()


def end_of(ds: str) -> int:
    """Unix seconds of the midnight (UTC) that ends `ds`: events from then on do not exist for this night."""
    day = datetime.datetime.fromisoformat(ds).replace(tzinfo=datetime.UTC)
    return int((day + datetime.timedelta(days=1)).timestamp())


def refuse_missing(night: Night, needed: Mapping[str, str], command: str) -> None:
    """Raise StoreError where a table has nothing of the night; `needed`: table -> the step that makes it."""
    for name, made_by in needed.items():
        if not night.store.exists(name, night.ds):
            raise StoreError(
                f"{command}: the table {name} has nothing of {night.ds}; "
                f"run `loregraph {made_by} --run {night.run.file} --ds {night.ds}` first"
            )


def step(
    work: Callable[Concatenate[Night, Arguments], Counts],
) -> Callable[Concatenate[Run, str, Arguments], Counts]:
    """Make `f(night, ...)` a step `f(run, ds, ...)` that opens the night, watches the work and records what it reports.

    A step that is called for a part (a recipe's shard, one model) is recorded under a name of its own.
    """

    @functools.wraps(work)
    def run_step(run: Run, ds: str, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Counts:
        night = open_night(run, ds)
        night.trace.step = work.__name__
        part = "--".join([work.__name__, *(str(value) for value in (*args, *kwargs.values()) if value is not None)])
        with watched(night, work.__name__, part, fields_of(work, args, kwargs)) as seen, disk_errors(night.work):
            try:
                counts = work(night, *args, **kwargs)
            finally:  # what a step has published before it failed stays published
                save_lineage(night.store, ds, night.trace)
            counts = {**counts, "seconds": seen.seconds}
            night.record(part, seen.record(night, counts))
        return counts

    return run_step


def write_json(file: Path, value: Any) -> None:
    """Write whole or not at all: a reader never sees half a file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False), encoding="utf-8")
    partial.replace(file)
