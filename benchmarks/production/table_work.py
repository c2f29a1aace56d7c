"""Table work on interactions by Polars, Spark and pandas in rotation: equal results, and the CPU seconds of each.

The work: a 5-core, a split by time and one that leaves the last two events of a user out, histories of the latter's
train part, and how often each row's item was chosen in it; from a table of the lake to Parquet files. pandas is what a
pandas user would write; the split id, a hash of all rows as text, is part of the work and the same everywhere.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl

from benchmarks.child import run_json
from benchmarks.figures import Figure, at_most, exactly, stated
from features.store import DeltaStore

ENGINES = ("polars", "spark", "pandas")
MOST = 0.4  # of pandas' CPU seconds
DS = "2026-01-01"
SIZES: Sequence[tuple[int, int]] = ((10**5, 3), (10**6, 3), (10**7, 2))  # interactions, rounds


def figures(folder: Path, sizes: Sequence[tuple[int, int]] = SIZES) -> list[Figure]:
    """All sizes; about 20 minutes on two cores."""
    return [figure for rows, rounds in sizes for figure in _measured(folder / str(rows), rows, rounds, ENGINES)]


def check_figures(folder: Path) -> list[Figure]:
    """10^5 interactions by Polars and pandas, 10^4 by all three."""
    small = _measured(folder / "small", 10**4, 1, ENGINES)
    return [
        *_measured(folder / "check", 10**5, 2, ("polars", "pandas")),
        *(each for each in small if "equal" in each.what),
    ]


def interactions(rows: int, seed: int = 0) -> pl.DataFrame:
    """About so many different pairs: Zipfian items, log-normal activity, times that tie now and then."""
    rng = np.random.default_rng(seed)
    users, items = max(rows // 25, 50), max(rows // 100, 50)
    activity, rank = rng.lognormal(0, 1, users), np.arange(1, items + 1)
    user = rng.choice(users, rows, p=activity / activity.sum())
    item = rng.permutation(items)[rng.choice(items, rows, p=rank**-0.8 / (rank**-0.8).sum())]
    frame = pl.DataFrame(
        {"user": user, "item": item, "timestamp": rng.integers(1_700_000_000, 1_700_000_000 + 2 * rows, rows)}
    )
    ids = [pl.format("u{}", "user").alias("user_id"), pl.format("i{}", "item").alias("item_id"), "timestamp"]
    return frame.select(ids).unique(["user_id", "item_id"], keep="first", maintain_order=True)


def _measured(folder: Path, rows: int, rounds: int, engines: Sequence[str]) -> list[Figure]:
    DeltaStore(str(folder / "lake")).overwrite("interactions", interactions(rows), DS)
    found: dict[str, list[dict[str, Any]]] = {engine: [] for engine in engines}
    for engine in _rotation(engines, rounds):
        command = [sys.executable, "-m", "benchmarks.production.table_engines", engine, str(folder)]
        found[engine].append(run_json(command))
    cpu = {engine: median(each["cpu_s"] for each in runs) for engine, runs in found.items()}
    contents = {str(each["digests"]) for runs in found.values() for each in runs}
    told = ", ".join(f"{engine} {_words(runs)}" for engine, runs in found.items())
    ratio = cpu["polars"] / cpu["pandas"]
    return [
        exactly("tables", f"{rows:,} interactions: different results of {', '.join(engines)}, equal", len(contents), 1),
        at_most("tables", f"{rows:,} interactions: Polars' CPU seconds, of pandas'", ratio, MOST),
        stated("tables", f"{rows:,} interactions: CPU seconds, seconds, peak MB", told),
    ]


def _rotation(engines: Sequence[str], rounds: int) -> Iterator[str]:
    """Each engine once a round, and another one first each time: what warms the machine helps nobody twice."""
    for number in range(rounds):
        first = number % len(engines)
        yield from (*engines[first:], *engines[:first])


def _words(runs: Sequence[dict[str, Any]]) -> str:
    cpu, seconds, peak = (median(each[name] for each in runs) for name in ("cpu_s", "seconds", "peak_mb"))
    return f"{cpu:.2f} s / {seconds:.2f} s / {peak:,.0f} MB"
