"""The gates of the source's tables: a clean night passes, and every rule can fail and names what breaks it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from features.gates import check_tables
from features.measures import Measured
from features.table_measures import (
    EventLimits,
    EventSummary,
    measure_catalogue,
    measure_events,
    measure_splits,
    summarize_events,
)
from schemas.errors import GateError
from schemas.expectations import Suite, catalogue_suite, event_suite, split_suite
from schemas.sections import Gates
from schemas.sections.gates import EventGate, GateTables

ROWS, END = 40, 1_000_000
ROW = pl.int_range(pl.len())
GATES = Gates(tables=GateTables(interactions=EventGate(earliest=date(1970, 1, 2), max_age_days=3)))
Change = Callable[[pl.DataFrame], pl.DataFrame]


def where(rows: pl.Expr, column: str, value: object) -> Change:
    new = value if isinstance(value, pl.Expr) else pl.lit(value)
    return lambda frame: frame.with_columns(pl.when(rows).then(new).otherwise(pl.col(column)).alias(column))


def items() -> pl.DataFrame:
    ids = [f"i{number:02}" for number in range(ROWS)]
    return pl.DataFrame(
        {"id": ids, "title": [f"The book of {id}" for id in ids], "sold": [str(n) for n in range(ROWS)]}
    )


def events() -> pl.DataFrame:
    rows = [(f"u{n % 20:02}", f"i{(n * 7 + n // 20) % ROWS:02}", END - 1000 + n, float(n % 5)) for n in range(80)]
    return pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp", "rating"], orient="row")


def users() -> pl.Series:
    return pl.Series([f"u{number:02}" for number in range(20)])


def splits() -> pl.DataFrame:
    part = pl.when(ROW < 60).then(pl.lit("train")).when(ROW < 70).then(pl.lit("valid")).otherwise(pl.lit("test"))
    return events().select("user_id", "item_id", time="timestamp", order=ROW, part=part, split_id=pl.lit("abc"))


def judged(suite: Suite, measured: Measured, docs: Path) -> dict[str, tuple[str, str]]:
    """Column -> what was found and the examples, of the rules that fail."""
    (report,) = check_tables([(suite, measured)], docs)
    assert report.rows == measured.rows
    return {each.column: (each.observed, " ".join(each.examples)) for each in report.results if not each.success}


def judge_items(now: pl.DataFrame, docs: Path, before: pl.DataFrame | None) -> dict[str, tuple[str, str]]:
    gate = GATES.tables.items
    return judged(catalogue_suite("items", gate), measure_catalogue(now, before, GATES.min_compared), docs)


CATALOGUE_FAULTS: dict[str, tuple[Change, str, str]] = {
    "half of it": (lambda frame: frame.filter(ROW % 2 == 0), "rows_share", ""),
    "other ids": (lambda frame: frame.with_columns(id=pl.lit("x") + pl.col("id")), "ids_kept", "i00 is gone"),
    "an id twice": (lambda frame: pl.concat([frame, frame.head(1)]), "repeated_ids", "i00"),
    "no id": (where(ROW == 7, "id", None), "empty_ids", "row 7"),
    "a blank id": (where(ROW == 7, "id", " "), "empty_ids", "row 7"),
    "blank titles": (where(ROW < 9, "title", " "), "blank_rise", "title: 0.225"),
    "null titles": (where(ROW < 9, "title", None), "blank_rise", "title: 0.225"),
    "no titles": (lambda frame: frame.drop("title"), "blank_rise", "title: 1"),
    "one title": (where(ROW < 20, "title", "Untitled"), "alike_rise", "title"),
    "titles of others": (lambda frame: frame.with_columns(pl.col("title").reverse()), "rewritten", "title: 1"),
    "nothing": (lambda frame: frame.clear(), "rows", ""),
}


@pytest.mark.parametrize("fault", CATALOGUE_FAULTS)
def test_a_fault_in_a_catalogue_is_caught_and_named(fault: str, tmp_path: Path) -> None:
    change, column, example = CATALOGUE_FAULTS[fault]
    failed = judge_items(change(items()), tmp_path, items())
    assert example in failed[column][1]


def test_a_clean_catalogue_passes(tmp_path: Path) -> None:
    grown = pl.concat([items(), pl.DataFrame({"id": ["new"], "title": ["New"], "sold": ["0"]})])
    sold = grown.with_columns(sold=pl.col("sold").cast(pl.Int64).add(5).cast(pl.String))  # figures change every night
    assert judge_items(sold, tmp_path, items()) == {}


def test_a_first_night_and_a_tiny_one_have_nothing_to_compare_with(tmp_path: Path) -> None:
    half = items().filter(ROW % 2 == 0)
    assert judge_items(half, tmp_path, None) == {}
    assert judge_items(half, tmp_path, items().head(GATES.min_compared - 1)) == {}


def judge_events(now: pl.DataFrame, docs: Path, rejected: int = 0, before: bool = True) -> dict[str, tuple[str, str]]:
    ids = {"user": users(), "item": items()["id"]}
    earlier: EventSummary | None = summarize_events(events(), 0) if before else None
    limits = EventLimits(END, GATES.tables.interactions.earliest, GATES.min_compared)
    return judged(event_suite(GATES), measure_events(now, ids, rejected, earlier, limits), docs)


EVENT_FAULTS: dict[str, tuple[Change, str, str]] = {
    "half of them": (lambda frame: frame.filter(ROW % 2 == 0), "rows_share", ""),
    "few users": (lambda frame: frame.filter(pl.col("user_id") < "u10"), "users_share", ""),
    "few items": (lambda frame: frame.filter(pl.col("item_id") < "i10"), "items_share", ""),
    "no user": (where(ROW == 3, "user_id", None), "empty_ids", "?/i21"),
    "unknown item": (where(ROW == 3, "item_id", "x"), "unknown_ids", "item x"),
    "a pair twice": (lambda frame: pl.concat([frame, frame.head(1)]), "repeated_pairs", "u00/i00"),
    "after the night": (where(ROW == 3, "timestamp", END), "after_night", "u03/i21"),
    "before the first day": (where(ROW == 3, "timestamp", 5), "too_early", "u03/i21"),
    "an old feed": (lambda frame: frame.with_columns(pl.col("timestamp") - 4 * 86_400), "age_days", ""),
    "no times": (where(ROW < 20, "timestamp", None), "blank_rise", "timestamp: 0.25"),
    "no column of times": (lambda frame: frame.drop("timestamp"), "blank_rise", "timestamp: 1"),
    "ratings on another scale": (lambda frame: frame.with_columns(pl.col("rating") * 2), "rating_shift", ""),
    "a rating that is none": (where(ROW == 3, "rating", float("nan")), "bad_ratings", "u03/i21"),
    "one user everywhere": (where(ROW < 30, "user_id", "u00"), "busiest_rise", ""),
}


@pytest.mark.parametrize("fault", EVENT_FAULTS)
def test_a_fault_in_interactions_is_caught_and_named(fault: str, tmp_path: Path) -> None:
    change, column, example = EVENT_FAULTS[fault]
    failed = judge_events(change(events()), tmp_path)
    assert example in failed[column][1]


def test_more_rejects_than_the_night_before_are_caught_and_clean_events_pass(tmp_path: Path) -> None:
    assert judge_events(events(), tmp_path) == {}
    assert judge_events(events().filter(ROW % 2 == 0), tmp_path, before=False) == {}
    assert list(judge_events(events(), tmp_path, rejected=4)) == ["rejected_rise"]


def judge_splits(now: pl.DataFrame, docs: Path) -> dict[str, tuple[str, str]]:
    ids = {"user": users(), "item": items()["id"]}
    before = dict(splits()["part"].value_counts().rows())
    measured = measure_splits(now, ids, before, END, ordered=True, min_compared=GATES.min_compared)
    return judged(split_suite(GATES), measured, docs)


SPLIT_FAULTS: dict[str, tuple[Change, str, str]] = {
    "half of them": (lambda frame: frame.filter(ROW % 2 == 0), "rows_share", ""),
    "no part": (where(ROW == 3, "part", None), "empty_cells", "u03/i21"),
    "an unknown part": (where(ROW == 3, "part", "tset"), "unknown_parts", "u03/i21"),
    "no test": (where(ROW > 60, "part", "valid"), "empty_parts", "test"),
    "less test": (where(ROW > 71, "part", "train"), "part_share", "test"),
    "an order twice": (where(ROW == 3, "order", 4), "repeated_orders", ""),
    "a pair in two parts": (
        lambda frame: pl.concat([frame, frame.head(1).with_columns(part=pl.lit("test"), order=pl.lit(99, pl.Int64))]),
        "repeated_pairs",
        "u00/i00",
    ),
    "an unknown user": (where(ROW == 3, "user_id", "x"), "unknown_ids", "user x"),
    "two split ids": (where(ROW == 3, "split_id", "x"), "split_ids", ""),
    "after the night": (where(ROW == 79, "time", END), "after_night", "u19"),
    "train after test": (where(ROW == 3, "time", END - 5), "early_held_out", "u03/i21"),
}


@pytest.mark.parametrize("fault", SPLIT_FAULTS)
def test_a_fault_in_splits_is_caught_and_named(fault: str, tmp_path: Path) -> None:
    change, column, example = SPLIT_FAULTS[fault]
    failed = judge_splits(change(splits()), tmp_path)
    assert example in failed[column][1]


def test_clean_splits_pass(tmp_path: Path) -> None:
    assert judge_splits(splits(), tmp_path) == {}


def test_the_error_names_the_figure_and_its_worst_column(tmp_path: Path) -> None:
    blank = where(ROW < 9, "title", None)(items())
    gate = GATES.tables.items
    (report,) = check_tables([(catalogue_suite("items", gate), measure_catalogue(blank, items(), 20))], tmp_path)
    with pytest.raises(GateError, match=r"items.blank_rise: expected .*10 %, found 0\.225 \(for example title: 0\.225"):
        report.raise_if_failed()
