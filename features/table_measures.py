"""What the suites of the source's tables judge: figures of a night's rows, most of them against the night before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import polars as pl

from features.corpus import PARTS, RESERVED
from features.measures import Measured

SHOWN = 3  # examples behind a figure
DAY = 86_400
EVENT_COLUMNS = ("user_id", "item_id", "timestamp", "rating")  # read of the night before
NUMBERS = 0.95  # share of values that are numbers, from which on a column is one of figures, which change


@dataclass
class Findings:
    """Figures of one table by name, and examples behind them."""

    figures: dict[str, float | int | None] = field(default_factory=dict)
    examples: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def note(self, name: str, value: float | int | None, examples: Iterable[object] = ()) -> None:
        self.figures[name] = value
        self.examples[name] = tuple(str(each) for each in examples)

    def worst(self, name: str, by_column: Mapping[str, float], words: str = "") -> None:
        """Note the highest of several columns, and which have the highest; none where there is no column."""
        first = sorted(by_column, key=lambda column: -by_column[column])[:SHOWN]
        told = [f"{column}: {by_column[column]:.4g}{words}" for column in first if by_column[column] > 0]
        self.note(name, float(by_column[first[0]]) if first else None, told)

    def rows_where(self, name: str, frame: pl.DataFrame, fault: pl.Expr, shown: pl.Expr) -> None:
        """Note how many rows have a fault, and some of them."""
        count = int(frame.select(fault.fill_null(False).sum()).item()) if frame.height else 0
        self.note(name, count, some_rows(frame, fault, shown, SHOWN) if count else ())

    def measured(self, rows: int) -> Measured:
        return Measured(pl.DataFrame([self.figures]), rows, self.examples)


def some_rows(frame: pl.DataFrame, fault: pl.Expr, shown: pl.Expr, most: int) -> list[str]:
    """The first rows that have a fault, as they are shown.

    In one chunk: polars 2.1 panics where `format` meets a frame whose first chunk is empty.
    """
    found = frame.filter(fault.fill_null(False)).head(most).rechunk()
    return found.select(shown.cast(pl.String)).to_series().to_list()


def measure_catalogue(now: pl.DataFrame, before: pl.DataFrame | None, min_compared: int) -> Measured:
    """Figures of users or items, of the rules of `schemas.expectations.catalogue_suite`.

    Compared with the night before where that has `min_compared` rows.
    """
    found, rows = Findings(), now.with_row_index("row")
    found.note("rows", now.height)
    empty = pl.col("id").is_null() | (pl.col("id").str.strip_chars() == "")
    found.rows_where("empty_ids", rows, empty, pl.format("row {}", "row"))
    found.rows_where("repeated_ids", now, pl.col("id").is_not_null() & ~pl.col("id").is_first_distinct(), pl.col("id"))
    compared = before is not None and before.height >= min_compared
    for name in ("rows_share", "ids_kept", "blank_rise", "alike_rise", "rewritten"):
        found.note(name, None)
    if compared and before is not None:
        _against_catalogue(found, now, before)
    return found.measured(now.height)


def _against_catalogue(found: Findings, now: pl.DataFrame, before: pl.DataFrame) -> None:
    found.note("rows_share", now.height / before.height)
    gone = before.filter(~pl.col("id").is_in(now["id"].drop_nulls().implode()))["id"]
    found.note("ids_kept", 1 - len(gone) / before.height, (f"{id} is gone" for id in gone.head(SHOWN)))
    columns = [name for name in before.columns if name != "id"]
    blank, was_blank = _blank(now, columns), _blank(before, columns)
    found.worst("blank_rise", {name: blank[name] - was_blank[name] for name in columns})
    texts = [name for name in columns if before.schema[name] == pl.String and now.schema.get(name) == pl.String]
    found.worst("alike_rise", {name: _most_frequent(now[name]) - _most_frequent(before[name]) for name in texts})
    both = now.select("id", *texts).unique("id").join(before.select("id", *texts), on="id", suffix=" before")
    words = [name for name in texts if not _are_numbers(before[name])]
    if both.height:
        found.worst("rewritten", {name: _rewritten(both, name) for name in words})


@dataclass(frozen=True)
class EventSummary:
    """What of a night's interactions is compared with those of another."""

    rows: int
    users: int
    items: int
    blank: Mapping[str, float]  # column -> share of cells without a value
    rating: tuple[float, float] | None  # mean and standard deviation
    busiest: float  # share of the events of the user or the item that has most
    rejected: float  # share of the source's rows that could not be used


def summarize_events(events: pl.DataFrame, rejected: int) -> EventSummary:
    """`events`: some of EVENT_COLUMNS; `rejected`: rows of the source that are no events."""
    counts = [events[side].value_counts()["count"] for side in ("user_id", "item_id")]
    busiest = [each.max() for each in counts]
    rating = events["rating"].filter(events["rating"].is_finite()) if "rating" in events.columns else pl.Series()
    mean, deviation = rating.mean(), rating.std()
    return EventSummary(
        rows=events.height,
        users=len(counts[0]),
        items=len(counts[1]),
        blank=_blank(events, [name for name in EVENT_COLUMNS[2:] if name in events.columns]),
        rating=(float(mean), float(deviation)) if isinstance(mean, float) and isinstance(deviation, float) else None,
        busiest=max((int(each) for each in busiest if isinstance(each, int)), default=0) / max(events.height, 1),
        rejected=rejected / max(events.height + rejected, 1),
    )


@dataclass(frozen=True)
class EventLimits:
    """What a night's interactions must lie within."""

    end: int  # unix seconds: the night's end, after which there is no event
    earliest: date | None
    min_compared: int


def measure_events(
    events: pl.DataFrame,
    ids: Mapping[str, pl.Series],
    rejected: int,
    before: EventSummary | None,
    limits: EventLimits,
) -> Measured:
    """Figures of interactions, of the rules of `schemas.expectations.event_suite`. `ids`: those of user and item."""
    found, pair = Findings(), pl.format("{}/{}", pl.col("user_id").fill_null("?"), pl.col("item_id").fill_null("?"))
    now = summarize_events(events.select(name for name in EVENT_COLUMNS if name in events.columns), rejected)
    found.note("rows", now.rows)
    empty = pl.any_horizontal((pl.col(name).is_null() | (pl.col(name) == "")) for name in ("user_id", "item_id"))
    found.rows_where("empty_ids", events, empty, pair)
    _note_ids(found, events, ids)
    _note_pairs(found, events)
    _note_times(found, events, "timestamp", limits.end, pair)
    if "timestamp" in events.columns:
        first = -(2**62) if limits.earliest is None else _midnight(limits.earliest)
        found.rows_where("too_early", events, pl.col("timestamp") < first, pair)
        newest = events["timestamp"].max()
        found.note("age_days", (limits.end - newest) / DAY if isinstance(newest, int) else None)
    else:
        found.note("too_early", None)
        found.note("age_days", None)
    bad = ~pl.col("rating").is_finite() if "rating" in events.columns else pl.lit(False)
    found.rows_where("bad_ratings", events, bad, pair)
    _against_events(found, now, before if before is not None and before.rows >= limits.min_compared else None)
    return found.measured(events.height)


def _against_events(found: Findings, now: EventSummary, before: EventSummary | None) -> None:
    for name in ("rows", "users", "items"):
        found.note(f"{name}_share", None if before is None else getattr(now, name) / max(getattr(before, name), 1))
    risen = {} if before is None else {name: now.blank.get(name, 1.0) - share for name, share in before.blank.items()}
    found.worst("blank_rise", risen)
    found.note("rejected_rise", None if before is None else now.rejected - before.rejected)
    found.note("busiest_rise", None if before is None else now.busiest - before.busiest)
    shift = None
    if before is not None and before.rating and now.rating:
        (mean, _), (mean_before, deviation) = now.rating, before.rating
        shift = abs(mean - mean_before) / deviation if deviation else float(mean != mean_before)
    found.note("rating_shift", shift)


def measure_splits(
    splits: pl.DataFrame,
    ids: Mapping[str, pl.Series],
    before: Mapping[str, int] | None,
    end: int,
    ordered: bool,
    min_compared: int,
) -> Measured:
    """Figures of the splits, of the rules of `schemas.expectations.split_suite`.

    `before`: rows by part of the night before; `ordered`: no event of train may be later than one of test.
    """
    found, pair = Findings(), pl.format("{}/{}", pl.col("user_id").fill_null("?"), pl.col("item_id").fill_null("?"))
    found.note("rows", splits.height)
    cells = ("user_id", "item_id", "order", "part", "split_id")
    found.rows_where("empty_cells", splits, pl.any_horizontal(pl.col(name).is_null() for name in cells), pair)
    found.rows_where("unknown_parts", splits, ~pl.col("part").is_in([*PARTS, RESERVED]), pair)
    counts = dict(splits["part"].drop_nulls().value_counts().rows())
    found.note("empty_parts", sum(not counts.get(part) for part in PARTS), (p for p in PARTS if not counts.get(p)))
    found.note("repeated_orders", splits.height - splits["order"].n_unique())
    _note_pairs(found, splits)
    _note_ids(found, splits, ids)
    found.note("split_ids", splits["split_id"].n_unique())
    _note_times(found, splits, "time", end, pair)
    held = splits.select(pl.col("time").filter(pl.col("part") == "test").min()).item() if ordered else None
    late = (pl.col("part") == "train") & (pl.col("time") > held) if held is not None else pl.lit(False)
    found.rows_where("early_held_out", splits, late, pair)
    rows = sum(before.values()) if before else 0
    compared = before if before and rows >= min_compared else None
    found.note("rows_share", splits.height / rows if compared else None)
    shares = {p: (counts.get(p, 0) / max(splits.height, 1)) / (n / rows) for p, n in (compared or {}).items() if n}
    shares = {part: share for part, share in shares.items() if part in PARTS}
    lowest = min(shares, key=lambda part: shares[part]) if shares else None
    found.note("part_share", shares[lowest] if lowest else None, [lowest] if lowest else ())
    return found.measured(splits.height)


def _note_ids(found: Findings, rows: pl.DataFrame, ids: Mapping[str, pl.Series]) -> None:
    """Ids of users and items that their tables lack."""
    unknown = list[str]()
    for kind, known in ids.items():
        used = rows[f"{kind}_id"].drop_nulls().unique()
        unknown += [f"{kind} {id}" for id in used.filter(~used.is_in(known.implode())).sort().to_list()]
    found.note("unknown_ids", len(unknown), unknown[:SHOWN])


def _note_pairs(found: Findings, rows: pl.DataFrame) -> None:
    """Pairs of a user and an item that are there again; compared by hash, which 10^7 rows can afford."""
    hashes = rows.select(pl.struct("user_id", "item_id").hash()).to_series()
    again = rows.height - hashes.n_unique()
    shown = rows.filter(~hashes.is_first_distinct()).head(SHOWN) if again else rows.head(0)
    found.note("repeated_pairs", again, (f"{user}/{item}" for user, item in shown.select("user_id", "item_id").rows()))


def _note_times(found: Findings, rows: pl.DataFrame, column: str, end: int, shown: pl.Expr) -> None:
    if column in rows.columns:
        found.rows_where("after_night", rows, pl.col(column) >= end, shown)
    else:
        found.note("after_night", None)


def _blank(frame: pl.DataFrame, columns: Iterable[str]) -> dict[str, float]:
    """Share of cells without a value by column; all of a column that is not there."""
    shares = dict[str, float]()
    for name in columns:
        if name not in frame.columns or not frame.height:
            shares[name] = 1.0
            continue
        cells = frame[name]
        empty = (cells.str.strip_chars() == "").sum() if cells.dtype == pl.String else 0
        shares[name] = (cells.null_count() + int(empty)) / frame.height
    return shares


def _most_frequent(cells: pl.Series) -> float:
    """Share of the most frequent value among the cells that have one."""
    values = cells.filter(cells.str.strip_chars() != "")
    return float(values.value_counts()["count"].max()) / len(values) if len(values) else 0.0  # type: ignore[arg-type]


def _are_numbers(cells: pl.Series) -> bool:
    """Whether a column holds figures, such as a count of ratings, which may change every night."""
    values = cells.drop_nulls()
    return len(values) > 0 and values.cast(pl.Float64, strict=False).null_count() < (1 - NUMBERS) * len(values)


def _rewritten(both: pl.DataFrame, name: str) -> float:
    """Share of the ids whose text is another one than before, of those that had and have one."""
    now, old = both[name], both[f"{name} before"]
    judged = (now.str.strip_chars() != "") & (old.str.strip_chars() != "")
    share = (now != old).filter(judged.fill_null(False)).mean()
    return float(share) if isinstance(share, float) else 0.0


def _midnight(day: date) -> int:
    return int(np.datetime64(day, "s").astype(np.int64))
