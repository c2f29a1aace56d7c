"""Cost and lift night by night: what `loregraph history` prints and the report draws."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from pipelines.watching.summary import read_summary
from schemas.run import Run, load_run

Counts = dict[str, Any]
HEAD = ("night", "cost $", "calls", "new", "changed", "rejects", "coverage", "rows", "best on validation")
SHOWN = ("ds", "cost_usd", "calls", "new", "changed", "model", "metric", "valid", "test", "lift", "failed", "seconds")
SUMS = ("cost_usd", "calls", "seconds")


def night_folders(work: Path, until: str | None = None, most: int | None = None) -> list[Path]:
    """The folders of the last `most` nights up to `until` that have run a step, oldest first."""
    folder = work / "nights"
    names = sorted((each.name for each in folder.iterdir()), reverse=True) if folder.is_dir() else []
    dates = (name for name in names if (until is None or name <= until) and _is_date(name))
    return [*islice((folder / name for name in dates if _has_run(folder / name)), most)][::-1]


def read_history(run: Run, work: Path, until: str | None = None, most: int | None = None) -> list[Counts]:
    """The summaries (`summary.summarize_night`) of those nights."""
    return [read_summary(folder, run.evaluation.selection) for folder in night_folders(work, until, most)]


def history(file: Path, lake: str | None = None, most: int | None = None) -> Counts:
    """The nights of a run file and their sums."""
    from pipelines.night import work_folder

    run = load_run(file, lake=lake)
    nights = read_history(run, work_folder(run), most=most)
    return {"run": run.name, "nights": nights, "sums": {name: sum(each[name] for each in nights) for name in SUMS}}


def table(found: Counts) -> list[str]:
    """The nights as lines of text: numbers to the right, lift with its 95 % interval."""
    nights: Sequence[Counts] = found["nights"]
    if not nights:
        return [f"{found['run']}: no nights yet; `loregraph night` makes one"]
    selection, metric = nights[-1]["selection"], nights[-1]["metric"]
    head = [*HEAD, f"valid {selection}", f"test {metric}", "lift, 95 % interval", "release", "seconds", "failed"]
    rows = [head, *(_cells(night) for night in nights), _sums(found["sums"], len(head))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def row_of(night: Counts) -> Counts:
    """What the report shows of a night."""
    rejects, release = sum(night["rejects"].values()), release_of(night)
    about = {"rejects": rejects, "coverage": lowest_coverage(night), "release": release, "rows": published_rows(night)}
    return {**{name: night[name] for name in SHOWN}, **about}


def lowest_coverage(night: Counts) -> float | None:
    """That of the recipe that the fewest answers of can be read."""
    return min(night["coverage"].values(), default=None)


def published_rows(night: Counts) -> int:
    return sum(told["rows"] for told in night["tables"].values())


def release_of(night: Counts) -> str:
    """The number of the release that holds the night; else why it is not live: `refused` or `kept`."""
    told = night["release"] or {}
    return str(told["number"]) if told.get("promoted") else str(told.get("outcome", ""))


def _cells(night: Counts) -> list[str]:
    coverage, lift = lowest_coverage(night), night["lift"]
    interval = f"{lift['difference']:+.4f} ({lift['low']:+.4f} to {lift['high']:+.4f})" if lift else ""
    return [
        night["ds"],
        f"{night['cost_usd']:.4f}",
        *(_count(night[name]) for name in ("calls", "new", "changed")),
        _count(sum(night["rejects"].values())),
        "" if coverage is None else f"{coverage:.1%}",
        _count(published_rows(night)),
        night["model"] or "",
        *("" if night[part] is None else f"{night[part]:.4f}" for part in ("valid", "test")),
        interval,
        release_of(night),
        f"{night['seconds']:.1f}",
        ", ".join(f"{step}: {error}" for step, error in night["failed"].items()),
    ]


def _sums(sums: Counts, width: int) -> list[str]:
    cells = ["sum", f"{sums['cost_usd']:.4f}", _count(sums["calls"]), *[""] * (width - 3)]
    cells[-2] = f"{sums['seconds']:.1f}"
    return cells


def _count(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _has_run(folder: Path) -> bool:
    return (folder / "steps").is_dir() or (folder / "failed").is_dir()


def _is_date(name: str) -> bool:
    try:
        return datetime.date.fromisoformat(name).isoformat() == name
    except ValueError:
        return False
