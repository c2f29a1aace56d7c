"""Whether nights come to what one big night comes to: `python -m benchmarks.replay --run FILE [--nights 10]`.

Replays the nights into one lake and the last of them alone into another (`replayed` and `at_once` below the run's
lake), then compares what both have of the last night: the columns of COMPARED row by row, and every model on test.
Prompts over partitions and those that show candidates are left out: the nights before decide what they show.

Exit code 1 where rows differ, a model's metric differs by more than the tolerance and its paired bootstrap interval
does not cover zero, or more was asked than had changed.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from evaluation.intervals import Interval, compare, mean_over_seeds
from evaluation.metrics import Scores
from features.recipes import RECIPES
from features.recipes.choosing import Choosing
from features.store import DeltaStore, TableStore
from pipelines.replay import night_dates, replay, table
from schemas.run import load_run

COMPARED: dict[str, tuple[str, ...]] = {  # table -> columns; none: all of them
    "users": (),
    "items": (),
    "interactions": (),
    "splits": (),
    "prompts": ("recipe", "version", "kind", "id", "part", "key", "source_ids", "max_time", "split_id"),
    "partitions": ("recipe", "version", "user_id", "part", "item_ids", "key"),
    "profiles": ("kind", "id", "recipe", "field", "text_hash", "key", "split_id"),
    "embeddings": ("kind", "id", "source", "text_hash"),
}
METRIC = "recall@20"
RESAMPLES = 2000


@dataclass(frozen=True)
class Difference:
    """Rows of a table that only one of the two lakes has."""

    table: str
    rows: int  # of the lake with the big night
    missing: int
    extra: int


@dataclass(frozen=True)
class ModelDifference:
    """A model after the nights against that of the big one: means over seeds, and the paired interval on test."""

    name: str
    valid: tuple[float, float]  # nights, big night
    test: tuple[float, float]
    interval: Interval

    def within(self, tolerance: float) -> bool:
        """Whether the two are alike: nearly the same on test, or not to be told apart there."""
        return abs(self.interval.difference) <= tolerance or self.interval.low <= 0 <= self.interval.high


def main() -> None:
    """Read the command line, run both, compare, print, and end with 1 where they differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--run", type=Path, required=True, help="run file")
    parser.add_argument("--nights", type=int, default=10, help="nights, evenly spread")
    parser.add_argument("--from", dest="start", help="first night; by default half of the events have come by then")
    parser.add_argument("--to", dest="end", help="last night; by default that of the last event")
    parser.add_argument("--lake", help="folder for the two lakes; by default the run's")
    parser.add_argument("--tolerance", type=float, default=0.01, help=f"of {METRIC} on test")
    chosen = parser.parse_args()
    run = load_run(chosen.run, lake=chosen.lake)
    dates = night_dates(run, chosen.start, chosen.end, chosen.nights)
    lakes = f"{run.lake}/replayed", f"{run.lake}/at_once"
    nights = replay(chosen.run, dates, lake=lakes[0])
    once = replay(chosen.run, dates[-1:], lake=lakes[1])
    stores = DeltaStore(lakes[0]), DeltaStore(lakes[1])
    differences = list(table_differences(*stores, dates[-1]))
    models = list(model_differences(*stores, dates[-1]))
    lines = [
        *table(nights["nights"], nights["sums"]),
        "",
        "the last night alone:",
        *table(once["nights"], once["sums"]),
    ]
    sums, changed = nights["sums"], nights["sums"]["new"] + nights["sums"]["changed"]
    lines += ["", *_lines(differences, models, chosen.tolerance)]
    lines += [f"asked in {len(dates)} nights: {sums['asked']:,} calls for {changed:,} new or changed prompts"]
    print("\n".join(lines))  # noqa: T201
    same = not any(each.missing or each.extra for each in differences)
    alike = all(each.within(chosen.tolerance) for each in models)
    sys.exit(0 if same and alike and sums["asked"] <= changed else 1)


def table_differences(nights: TableStore, once: TableStore, ds: str) -> Iterator[Difference]:
    """Every table of COMPARED that one of the lakes has on that night."""
    for name, columns in COMPARED.items():
        if not (nights.exists(name, ds) or once.exists(name, ds)):
            continue
        one, other = (_content(store, name, ds, columns) for store in (nights, once))
        yield Difference(name, other.total(), (other - one).total(), (one - other).total())


def model_differences(nights: TableStore, once: TableStore, ds: str) -> Iterator[ModelDifference]:
    """Every model of that night, in the order of their names."""
    if not once.exists("metrics", ds):
        return
    values = [_means(store, ds) for store in (nights, once)]
    for name in sorted({model for model, _ in values[1]}):
        valid, test = ((values[0][name, part], values[1][name, part]) for part in ("valid", "test"))
        interval = compare(_scores(nights, ds, name), _scores(once, ds, name), RESAMPLES)[METRIC]
        yield ModelDifference(name, valid, test, interval)


def _lines(differences: list[Difference], models: list[ModelDifference], tolerance: float) -> Iterator[str]:
    for each in differences:
        said = f"{each.missing:,} missing, {each.extra:,} too many" if each.missing or each.extra else "equal"
        columns = ", ".join(COMPARED[each.table]) or "all columns"
        yield f"{each.table}: {each.rows:,} rows, {said} ({columns})"
    for model in models:
        low, high = model.interval.low, model.interval.high
        within = "within" if model.within(tolerance) else "NOT within"
        yield (
            f"{model.name}: {METRIC} on validation {model.valid[0]:.4f} and {model.valid[1]:.4f}, on test "
            f"{model.test[0]:.4f} and {model.test[1]:.4f}: {model.interval.difference:+.4f} [{low:+.4f}, {high:+.4f}] "
            f"over {model.interval.users} users, "
            f"{within} {tolerance} or noise"
        )


def _content(store: TableStore, name: str, ds: str, columns: tuple[str, ...]) -> Counter[int]:
    """Hashes of the rows, with how often each is there; nothing where the lake does not have the night."""
    if not store.exists(name, ds):
        return Counter()
    rows = store.read(name, ds=ds)
    if name == "prompts":
        free = [name for name, recipe in RECIPES.items() if not (recipe.partitioned or issubclass(recipe, Choosing))]
        rows = rows.filter(pl.col("recipe").is_in(free))
    return Counter(rows.select(columns or sorted(rows.columns)).hash_rows().to_list())


def _means(store: TableStore, ds: str) -> dict[tuple[str, str], float]:
    """The metric by model and part, mean over seeds."""
    rows = store.read("metrics", ds=ds).filter((pl.col("slice") == "all") & (pl.col("metric") == METRIC))
    means = rows.group_by("model", "part").agg(pl.col("value").mean())
    return {(model, part): value for model, part, value in means.iter_rows()}


def _scores(store: TableStore, ds: str, model: str) -> Scores:
    """The metric of every user on test, mean over seeds; users in the order of their ids."""
    rows = store.read("user_metrics", ds=ds).filter((pl.col("model") == model) & (pl.col("metric") == METRIC))
    wide = rows.sort("user_id").partition_by("seed")
    users = {id: number for number, id in enumerate(rows["user_id"].unique().sort())}
    return mean_over_seeds(
        [
            Scores(
                each["user_id"].replace_strict(users, return_dtype=pl.Int64).to_numpy(),
                {METRIC: each["value"].to_numpy()},
            )
            for each in wide
        ]
    )


if __name__ == "__main__":
    main()
