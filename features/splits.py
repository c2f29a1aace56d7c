"""Interactions into train, valid and test by one of four rules, under a split id that is a hash of data and rule."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import polars as pl

from features.corpus import PARTS, RESERVED
from features.split_rules import RULES, Known, hold_out, known, refuse_empty_parts
from schemas.errors import ConfigError, DataError
from schemas.records import canonical
from schemas.sections import Split

LATER = ("history", "cold_items", "cold_users", "valid_rows")  # settings that the first split ids did not know
HASHED_ROWS = 1_000_000  # rows turned into text at once for the split id


def make_splits(interactions: pl.DataFrame, split: Split, until: int | None = None) -> pl.DataFrame:
    """Give every interaction its part.

    `interactions`: user_id and item_id (String, each pair once), optional timestamp (unix seconds), position (order
    within the user), split (train, valid, test), review, rating. Events at or after `until` (unix seconds) do not
    exist; a source without timestamps knows no time, so there `until` changes nothing.

    Returns user_id, item_id, time (Int64, null without timestamps), order (Int64, 0..E-1: by timestamp, then position,
    then input row), weight (Float32, 1), part (`reserved` beside the three), split_id (16 hex digits), and review and
    rating where there are any. The rules are the table of `features.split_rules`.

    The split id covers every user, item, time (or position) and part, and all settings of `split`. It does not depend
    on the order of the rows, except where that order is all that says which of two events came last.

    Raises ConfigError when the rule needs a column that the source does not have, DataError when a part is empty.
    """
    refuse_shares(split)
    rows = _ordered(_before(interactions, until))
    rows = with_parts(rows, split, known(rows, split))
    refuse_empty_parts(dict(rows.group_by("part").len().rows()), split)
    return published(rows, _split_id(rows, split))


def refuse_shares(split: Split) -> None:
    """Raises ConfigError where valid and test leave train nothing."""
    if split.valid + split.test >= 1 and split.rule in ("time", "ratio", "oldest"):
        raise ConfigError(f"split.valid + split.test: expected less than 1, found {split.valid} + {split.test}")


def with_parts(rows: pl.DataFrame, split: Split, known: Known) -> pl.DataFrame:
    """Rows with their `part`: all of some users' rows, by `order`, with what is `known` of all users' rows."""
    part = hold_out(rows, RULES[split.rule](rows, split, known), split)
    return rows.with_columns(pl.Series("part", [*PARTS, RESERVED])[pl.Series(part)].alias("part"))


def published(rows: pl.DataFrame, split_id: str) -> pl.DataFrame:
    """The columns of a split, out of rows with `order` and `part`."""
    time = pl.col("timestamp") if "timestamp" in rows.columns else pl.lit(None)
    return rows.select(
        "user_id",
        "item_id",
        time.cast(pl.Int64).alias("time"),
        "order",
        pl.lit(1.0, dtype=pl.Float32).alias("weight"),
        "part",
        pl.lit(split_id).alias("split_id"),
        *[name for name in ("review", "rating") if name in rows.columns],
    )


def k_core(interactions: pl.DataFrame, k: int) -> pl.DataFrame:
    """The largest set of rows in which every user and every item has at least `k`, in the order given."""
    height = -1
    while height != interactions.height:
        height = interactions.height
        for side in ("user_id", "item_id"):
            enough = interactions.group_by(side).len().filter(pl.col("len") >= k)
            interactions = interactions.join(enough, on=side, how="semi", maintain_order="left")
    return interactions


def split_summary(splits: pl.DataFrame) -> dict[str, Any]:
    """Counts of a split: users, items, interactions per part, and the users and items that have no train row."""
    train = splits.filter(pl.col("part") == "train")
    counts = dict(splits.group_by("part").len().rows())
    users, items = splits["user_id"].n_unique(), splits["item_id"].n_unique()
    return {
        "split_id": splits["split_id"].first(),
        "users": users,
        "items": items,
        "interactions": {**dict.fromkeys(PARTS, 0), **counts},
        "users_without_train": users - train["user_id"].n_unique(),
        "items_without_train": items - train["item_id"].n_unique(),
    }


def _before(interactions: pl.DataFrame, until: int | None) -> pl.DataFrame:
    if until is None or "timestamp" not in interactions.columns:
        return interactions
    rows = interactions.filter(pl.col("timestamp") < until)
    if rows.is_empty():
        raise no_events(interactions.select(pl.col("timestamp").min()).item(), until)
    return rows


def no_events(first: int | None, until: int) -> DataError:
    """The error of a source whose `first` event (unix seconds; None: it has no events) is not before `until`."""
    found = "no events" if first is None else f"the first one at {_date(first)}"
    return DataError(f"interactions: expected events before {_date(until)}, found {found}; use a later date")


def _date(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _ordered(interactions: pl.DataFrame) -> pl.DataFrame:
    """Rows in the global order, numbered in the column `order`."""
    keys = order_keys(interactions.columns)
    rows = interactions.sort(keys, maintain_order=True) if keys else interactions
    return rows.with_columns(pl.int_range(pl.len(), dtype=pl.Int64).alias("order"))


def order_keys(columns: Collection[str]) -> list[str]:
    """The columns that say in which order events came; equal ones came in the order given."""
    return [name for name in ("timestamp", "position") if name in columns]


def _settings(split: Split) -> dict[str, Any]:
    """All settings; one that came later counts where it is not at its default, so that older split ids stay."""
    settings, default = split.model_dump(), Split().model_dump()
    return {key: value for key, value in settings.items() if key not in LATER or value != default[key]}


def _split_id(rows: pl.DataFrame, split: Split) -> str:
    """16 hex digits of sha256 over the settings and the rows sorted by user and item."""
    content = hashed_columns(rows, split)
    texts = (as_text(part) for part in _sorted(content).iter_slices(HASHED_ROWS))
    return split_id(texts, content.columns, rows.height, split)


def hashed_columns(rows: pl.DataFrame, split: Split) -> pl.DataFrame:
    """What a split id covers of some users' rows, which are in `order`: to be sorted by all columns."""
    when = order_keys(rows.columns)[:1]
    if not when and split.rule == "leave_one_out":
        rows, when = rows.with_columns(rank=pl.int_range(pl.len()).over("user_id")), ["rank"]
    return rows.select("user_id", "item_id", *when, "part")


def _sorted(content: pl.DataFrame) -> pl.DataFrame:
    """`content.sort(content.columns)`, in half the time where every pair of user and item stands once."""
    pair = _rank(content["user_id"]) * 2**32 + _rank(content["item_id"])
    order = pair.arg_sort()
    repeated = pair[order].diff().eq(0).any()
    return content.sort(content.columns) if repeated else content[order]


def _rank(ids: pl.Series) -> pl.Series:
    """UInt64 [E]: the place of every id among the distinct ones, sorted."""
    return ids.cast(pl.Enum(ids.unique().sort())).to_physical().cast(pl.UInt64)


def as_text(content: pl.DataFrame) -> bytes:
    """The rows of `hashed_columns` as they are hashed."""
    return content.write_csv(include_header=False, quote_style="non_numeric").encode()


def split_id(texts: Iterable[bytes], columns: Sequence[str], height: int, split: Split) -> str:
    """16 hex digits of sha256 over the settings and the texts of `height` rows, which are sorted by all `columns`."""
    digest = hashlib.sha256(canonical({"split": _settings(split), "columns": columns, "rows": height}).encode())
    for text in texts:
        digest.update(text)
    return digest.hexdigest()[:16]
