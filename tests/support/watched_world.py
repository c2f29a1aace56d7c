"""A small run with a good night and one whose gate fails; it needs no encoder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from pipelines.job import run_night
from schemas.errors import GateError
from tests.support.small_world import RUN, books, events

GOOD, BAD = "2026-01-01", "2026-01-02"
NO_TEXT = RUN.split('[[models]]\nname = "aligned"')[0]
WATCHED = NO_TEXT.replace('baseline = "lightgcn"', 'baseline = "popularity"').replace(
    "max_epochs = 4", "max_epochs = 2"
)


@dataclass
class Nights:
    """The run file and where its work is."""

    file: Path
    work: Path


def write_world(home: Path, run: str) -> Path:
    (home / "data").mkdir(parents=True)
    books().write_parquet(home / "data" / "items.parquet")
    frame = pl.DataFrame(events(), schema=["user_id", "item_id", "timestamp"], orient="row")
    frame.write_csv(home / "data" / "interactions.csv")
    (home / "run.toml").write_text(run, encoding="utf-8")
    return home / "run.toml"


def watched_nights(home: Path) -> Nights:
    """Run both nights, with OpenLineage events in a file."""
    file = write_world(home, WATCHED + '[watch]\nlineage = "lineage/events.jsonl"\n')
    run_night(file, ds=GOOD)
    stricter = file.read_text(encoding="utf-8").replace("[gates]\n", "[gates]\nmin_characters = 3000\n")
    file.write_text(stricter, encoding="utf-8")
    with pytest.raises(GateError):
        run_night(file, ds=BAD)
    return Nights(file, home / "lake" / "_work")
