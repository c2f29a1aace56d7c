"""Past nights one after the other, as they would have been: which dates, what each of them did, and the sums."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from features.readers import read_source
from pipelines.job import run_night
from pipelines.night import Counts, Night, open_night
from pipelines.steps import STEPS
from schemas.errors import ConfigError, DataError
from schemas.run import Run, load_run

TABLES = {"events": "interactions", "users": "users", "items": "items"}  # as shown -> as `ingest` counts them
PER_RECIPE = ("new", "changed", "asked")
SUMMED = ("new", "changed", "asked", "encoded", "cost_usd", "seconds")
START = 0.5  # share of the events that the first night sees where nobody says which it is


def replay(
    file: Path,
    dates: Sequence[str],
    steps: Sequence[str] = (),
    lake: str | None = None,
    max_cost_usd: float | None = None,
    each: Callable[[Counts], None] | None = None,
) -> dict[str, Any]:
    """Run the night of every date in order, or some steps of it; a night that has been done before asks nothing.

    `each` gets what a night did as soon as it is over. Returns the nights and their sums. Raises as the night that
    fails does; the same call goes on from there.
    """
    run, nights = load_run(file, lake=lake), list[Counts]()
    for ds in dates:
        for step in steps or (None,):
            run_night(file, step=step, ds=ds, lake=lake, max_cost_usd=max_cost_usd)
        nights.append(summary_of(open_night(run, ds)))
        if each:
            each(nights[-1])
    return {"nights": nights, "sums": {name: sum(night[name] for night in nights) for name in SUMMED}}


def night_dates(
    run: Run, start: str | None = None, end: str | None = None, nights: int | None = None, every: int = 1
) -> list[str]:
    """The dates to replay, both ends included: `nights` of them as evenly as days allow, or one every `every` days.

    Left out, the end is the day of the last event, the start the day by which half of the events have come. Raises
    ConfigError on what is no range of dates, DataError where the data has no times to choose from.
    """
    first, last = _date("--from", start), _date("--to", end)
    if first is None or last is None:
        half, newest = _span(run)
        first, last = first or half, last or newest
    if last < first:
        raise ConfigError(f"--from {first}: expected a date up to {last}, the last night")
    days = (last - first).days
    if nights is None:
        return [str(first + timedelta(days=day)) for day in range(0, days + 1, every)]
    if nights > days + 1:
        raise ConfigError(f"--nights {nights}: from {first} to {last} there are only {days + 1}; ask for fewer")
    steps = [round(number * days / max(nights - 1, 1)) for number in range(nights)] if nights > 1 else [days]
    return [str(first + timedelta(days=day)) for day in steps]


def summary_of(night: Night) -> Counts:
    """What a night did, from the records of its steps; a step that has not run counts nothing.

    Calls are those of all runs of the date, so that a replay that was stopped and goes on counts them too.
    """
    found = {name: (night.records(name) or [{}])[0] for name in ("ingest", "generate", "encode", "evaluate")}
    calls = _calls(night)
    recipes = [
        {**{name: each[name] for name in ("name", "new", "changed")}, "asked": calls.get(each["name"], (0, 0.0))[0]}
        for each in found["generate"].get("recipes", [])
    ]
    records = [night.records(step)[:1] for step in STEPS]
    return {
        "ds": night.ds,
        **{name: found["ingest"].get(count, 0) for name, count in TABLES.items()},
        "recipes": recipes,
        **{name: sum(each[name] for each in recipes) for name in PER_RECIPE},
        "encoded": found["encode"].get("encoded", 0),
        "cost_usd": sum(cost for _, cost in calls.values()) + found["encode"].get("cost_usd", 0.0),
        "seconds": round(sum(record["seconds"] for step in records for record in step), 3),
        **_best(found["evaluate"], night.run.evaluation.selection),
    }


def table(nights: Sequence[Counts], sums: Counts) -> list[str]:
    """The nights and their sums as lines of text; of each recipe how many are new, changed and asked."""
    recipes = [each["name"] for each in nights[-1]["recipes"]] if nights else []
    head = ["night", *TABLES, *recipes, "asked", "encoded", "cost $", "seconds", "best on validation"]
    rows = [head, *(_cells(night) for night in nights), _sum_cells(sums, len(head), len(recipes))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return [f"{' + '.join(PER_RECIPE[:2])} / asked, by recipe", *lines] if recipes else lines


def _cells(night: Counts) -> list[str]:
    recipes = [f"{each['new']:,} + {each['changed']:,} / {each['asked']:,}" for each in night["recipes"]]
    best = f"{night['model']} {night['metric']:.4f}" if night["model"] else ""
    counts = [f"{night[name]:,}" for name in TABLES]
    return [night["ds"], *counts, *recipes, *_plain(night), best]


def _sum_cells(sums: Counts, width: int, recipes: int) -> list[str]:
    told = [f"{sums['new']:,} + {sums['changed']:,} / {sums['asked']:,}"] if recipes else []
    cells = ["sum", *[""] * len(TABLES), *[""] * (recipes - len(told)), *told, *_plain(sums)]
    return [*cells, *[""] * (width - len(cells))]


def _plain(counts: Counts) -> list[str]:
    return [
        f"{counts['asked']:,}", f"{counts['encoded']:,}", f"{counts['cost_usd']:.4f}", f"{counts['seconds']:.1f}",
    ]  # fmt: skip


def _calls(night: Night) -> dict[str, tuple[int, float]]:
    """Calls and US dollars of the date by recipe."""
    if not night.store.exists("llm_runs", night.ds):
        return {}
    rows = night.store.read("llm_runs", ds=night.ds).group_by("recipe").agg(pl.col("asked", "cost_usd").sum())
    return {recipe: (asked, cost) for recipe, asked, cost in rows.iter_rows()}


def _best(evaluated: Counts, selection: str) -> Counts:
    """The model that validation has chosen, and its mean over seeds there."""
    name = evaluated.get("selected")
    values = [each["valid"][selection] for each in evaluated.get("results", ()) if each["name"] == name]
    return {"model": name, "metric": sum(values) / len(values) if values else None}


def _span(run: Run) -> tuple[date, date]:
    """The day by which half of the events have come, and the day of the last one."""
    rows = read_source(run.data).interactions
    if "timestamp" not in rows.columns:
        raise DataError(
            f"{run.data.path}: events have no timestamps, so there are no nights to choose; give --from, --to"
        )
    half, last = rows.select(
        pl.col("timestamp").quantile(START, "nearest").cast(pl.Int64), last=pl.col("timestamp").max()
    ).row(0)
    return (datetime.fromtimestamp(half, UTC).date(), datetime.fromtimestamp(last, UTC).date())


def _date(option: str, ds: str | None) -> date | None:
    try:
        return None if ds is None else date.fromisoformat(ds)
    except ValueError:
        raise ConfigError(f"{option}: {ds!r}: expected a date such as 2026-11-22") from None
