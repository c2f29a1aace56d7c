"""The processes of `publications`: `publish LAKE DS` writes and releases nights, `read LAKE STOP` reads in a loop.

Each prints one JSON object as its last line.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from benchmarks.production.publications import FIRST, ROWS
from features.feature_store import FeatureStore
from features.releases import Releases, pinned
from features.store import DeltaStore
from schemas.errors import StoreError

TABLES = ("users", "items", "profiles")


def publish(lake: str, last: str) -> dict[str, int]:
    """All nights after that of the last release; each is named on a line of its own once it is released."""
    store = DeltaStore(lake)
    releases = Releases(store)
    known = releases.all()
    ds = known[-1].ds if known else day_after(FIRST.isoformat(), -1)
    _say(ds)
    while ds < last:
        ds = day_after(ds)
        for table in TABLES:
            store.overwrite(table, rows(ds), ds)
        releases.add(ds, pinned(store, ds), reason="benchmark")
        _say(ds)
    return {"releases": len(releases.all())}


def rows(ds: str) -> pl.DataFrame:
    """Every row of a night carries its name, so that a reader sees which night it reads."""
    return pl.DataFrame({"id": [f"{number:05}" for number in range(ROWS)], "night": [ds] * ROWS})


def read(lake: str, stop: Path) -> dict[str, int]:
    """Count what is read until `stop` is there, and what is wrong with it."""
    store, counts, seen = DeltaStore(lake), Counter[str](), set[int]()
    _say("reads")
    while not stop.exists():
        try:
            _read_release(FeatureStore(store), counts, seen)
            _read_tables(store, counts)
        except StoreError as error:
            counts["errors"] += 1
            sys.stderr.write(f"{error}\n")
    names = ("empty", "partial", "mixed", "errors", "releases_read", "tables_read")
    return {**{name: counts[name] for name in names}, "different": len(seen)}


def _read_release(features: FeatureStore, counts: Counter[str], seen: set[int]) -> None:
    """All tables of the latest release: whole, and of its night."""
    snapshot = features.latest()
    nights = set[str]()
    for table in TABLES:
        found = snapshot.read(table)
        _judge(found, counts)
        nights |= set(found["night"].unique())
    counts["mixed"] += nights != {snapshot.release.ds}
    counts["releases_read"] += 1
    seen.add(snapshot.release.number)


def _read_tables(store: DeltaStore, counts: Counter[str]) -> None:
    """The latest night of every table as it is, past the releases."""
    for table in TABLES:
        ds = store.partitions(table)[-1]
        found = store.read(table, ds)
        _judge(found, counts)
        counts["mixed"] += set(found["night"].unique()) != {ds}
        counts["tables_read"] += 1


def day_after(ds: str, days: int = 1) -> str:
    return (date.fromisoformat(ds) + timedelta(days=days)).isoformat()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _judge(found: pl.DataFrame, counts: Counter[str]) -> None:
    counts["empty"] += not found.height
    counts["partial"] += 0 < found.height < ROWS


if __name__ == "__main__":
    told = publish(*sys.argv[2:4]) if sys.argv[1] == "publish" else read(sys.argv[2], Path(sys.argv[3]))
    _say(json.dumps(told))
