"""What every run of a recipe's questions did, written while it runs: for the table `llm_runs` and for Prometheus.

A killed run leaves what it had reported last, so that no cost goes unseen.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from language_models.inquiry import Counts
from pipelines.metrics import Metrics
from pipelines.night import Night, write_json
from pipelines.watching.logs import bound
from schemas.errors import StoreError
from schemas.tables import CALLS, TABLES

WRITE_EVERY_S = 2.0
QUIET = ("running", "done")


@dataclass
class RunLog:
    """One run of one recipe, or of one shard of it: its file, its metrics, and how it ended."""

    night: Night
    recipe: str
    kind: str
    shard: int
    engine: str
    model: str
    metrics: Metrics
    counts: Counts
    began: float  # unix seconds; what lasted is measured by `clock`, which is never set back
    mode: str | None = None  # default: that of the recipe
    written: float = 0.0
    clock: float = field(default_factory=time.monotonic)
    outcome: str = "running"

    @property
    def seconds(self) -> float:
        """How long the run has lasted."""
        return time.monotonic() - self.clock

    def tick(self) -> None:
        """Report how far the run is; the file is written every few seconds."""
        self.metrics.show(self.counts)
        if time.monotonic() - self.written > WRITE_EVERY_S:
            self.write()

    def write(self) -> None:
        """Keep what the run has done, unless it has found everything in the ledger: that leaves no trace."""
        self.written = time.monotonic()
        counts = self.counts
        if counts.asked or counts.follow_ups or counts.unknown or counts.orphaned or self.outcome not in QUIET:
            with self._errors():
                write_json(self._file, self.row())

    def close(self) -> None:
        """Write the last state. Raises StoreError where it cannot be written."""
        self.counts.in_flight = 0
        self.metrics.show(self.counts)
        with self._errors():
            self.metrics.close()
        self.write()

    def row(self) -> dict[str, Any]:
        return {
            "recipe": self.recipe,
            "kind": self.kind,
            "shard": self.shard,
            "started": datetime.fromtimestamp(self.began, UTC).isoformat(),
            "engine": self.engine,
            "model": self.model,
            "mode": self.mode or self.night.run.llm_of(self.recipe).mode,
            "outcome": self.outcome,
            **{name: getattr(self.counts, name) for name in (*CALLS, "cost_usd")},
            "seconds": round(self.seconds, 3),
        }

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            where = _folder(self.night)
            raise StoreError(f"{where}: no log of the run: {error.strerror}; free some room") from error

    @property
    def _file(self) -> Path:
        return _folder(self.night) / f"{int(self.began * 1e6)}-{self.recipe}-{self.shard}.json"


@contextmanager
def run_log(
    night: Night, recipe: str, kind: str, shard: int, engine: str, model: str, mode: str | None = None
) -> Iterator[RunLog]:
    """Keep the log of a run while the block lasts; its outcome is `done` or the name of what ended it.

    `recipe` is that of the questions, or the model of the run that asks them, in its own `mode`.
    """
    labels = {"run": night.run.name, "recipe": recipe, "model": model, "shard": str(shard)}
    metrics = Metrics(labels, night.folder / "metrics" / f"{recipe}-{shard}.prom", night.run.llm.metrics_port)
    log = RunLog(night, recipe, kind, shard, engine, model, metrics, Counts(), time.time(), mode)
    try:
        with bound(recipe=recipe, shard=shard, model=model):
            yield log
    except BaseException as error:
        log.outcome = type(error).__name__
        try:
            log.close()
        except StoreError as unwritten:
            error.add_note(str(unwritten))  # what ended the run is the news
        raise
    log.outcome = "done"
    log.close()


def llm_runs(night: Night) -> pl.DataFrame:
    """All runs of a night so far, failed and killed ones included, in the columns of the table `llm_runs`."""
    rows = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(_folder(night).glob("*.json"))]
    return pl.DataFrame(rows, schema=dict(TABLES["llm_runs"].columns)) if rows else TABLES["llm_runs"].empty()


def _folder(night: Night) -> Path:
    return night.folder / "llm_runs"
