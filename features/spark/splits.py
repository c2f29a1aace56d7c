"""Splits on Spark: the rules of `features.split_rules` on buckets of users, with what they must know of all rows.

The parts, the order and the split id are those of `features.splits.make_splits`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from features.corpus import PARTS
from features.spark.frames import per_block, per_bucket, schema_of
from features.spark.order import numbered
from features.spark.tables import FILE, ROW
from features.split_rules import Known, refuse_empty_parts, refuse_missing_column, time_cuts, wanted_cuts
from features.splits import (
    as_text,
    hashed_columns,
    no_events,
    order_keys,
    published,
    refuse_shares,
    split_id,
    with_parts,
)
from schemas.sections import Split
from schemas.tables import conform

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

HASHED = "_hashed_"  # before the names of the columns that the split id covers


@dataclass(frozen=True)
class SparkSplits:
    """A split: its rows (columns of the table `splits`) and counts as of `features.splits.split_summary`."""

    rows: DataFrame
    summary: dict[str, Any]


def make_splits(interactions: DataFrame, split: Split, until: int | None, buckets: int) -> SparkSplits:
    """`features.splits.make_splits` of a frame of `features.spark.tables.read_placed`; `buckets`: of users.

    The rows are kept on the executors' disks until the session ends or `rows.unpersist()`. Raises as it does.
    """
    refuse_shares(split)
    refuse_missing_column(interactions.columns, split)
    rows = numbered(_before(interactions, until), order_keys(interactions.columns)).drop(FILE, ROW)
    work = partial(_bucket, split=split, known=_known(rows, split))
    cut = per_bucket(rows, "user_id", buckets, work, work(schema_of(rows).to_frame()).schema)
    parts = cut.persist(_disk())
    rows_of = {row["part"]: row["count"] for row in parts.groupBy("part").count().collect()}
    refuse_empty_parts(rows_of, split)
    id = _split_id(parts, sum(rows_of.values()), split)
    return SparkSplits(_finished(parts, id), _summary(parts, rows_of, id))


def _bucket(rows: pl.DataFrame, split: Split, known: Known) -> pl.DataFrame:
    """The split of some users' rows, with the columns to be hashed."""
    rows = with_parts(rows.sort("order"), split, known)
    hashed = hashed_columns(rows, split)
    made = conform("splits", published(rows, ""))
    return made.with_columns(hashed.select(pl.all().name.prefix(HASHED)))


def _before(interactions: DataFrame, until: int | None) -> DataFrame:
    from pyspark.sql import functions as F

    if until is None or "timestamp" not in interactions.columns:
        return interactions
    rows = interactions.where(F.col("timestamp") < until)
    if rows.isEmpty():
        raise no_events(interactions.agg(F.min("timestamp")).collect()[0][0], until)
    return rows


def _known(rows: DataFrame, split: Split) -> Known:
    from pyspark.sql import functions as F

    if split.rule == "published":
        return Known(has_valid=not rows.where(F.col("split") == "valid").isEmpty())
    return Known(cuts=_cuts(rows, split)) if split.rule == "time" else Known()


def _cuts(rows: DataFrame, split: Split) -> tuple[int, int]:
    from pyspark.sql import functions as F

    begins = F.col("begins")
    moments = rows.groupBy("timestamp").agg(F.min("order").alias("begins")).where(begins > 0).select("begins")
    moments = moments.persist(_disk())
    first = {row["begins"] for row in moments.orderBy("begins").limit(2).collect()}
    cuts = cuts_from_some(first, lambda wanted: _around(moments, wanted), rows.count(), split)
    moments.unpersist()
    return cuts


def cuts_from_some(first: set[int], around: Callable[[float], set[int]], height: int, split: Split) -> tuple[int, int]:
    """`features.split_rules.time_cuts` from those moments alone that can decide it.

    `first`: the first two; `around(row)`: the last one up to a row, and the first one after it.
    """
    found = first.union(*(around(wanted) for wanted in wanted_cuts(height, split)))
    _, test = time_cuts(np.array(sorted(found), dtype=np.int64), height, split)
    found |= around(test - 1)  # the last moment before test, where that is before the one wanted for valid
    return time_cuts(np.array(sorted(found), dtype=np.int64), height, split)


def _around(moments: DataFrame, wanted: float) -> set[int]:
    from pyspark.sql import functions as F

    begins = F.col("begins")
    before, after = F.max(F.when(begins <= wanted, begins)), F.min(F.when(begins > wanted, begins))
    return {begin for begin in moments.agg(before, after).collect()[0] if begin is not None}


def _split_id(parts: DataFrame, height: int, split: Split) -> str:
    """Rows are sorted and turned into text by the executors; here they are hashed, one block after the other."""
    names = [name.removeprefix(HASHED) for name in parts.columns if name.startswith(HASHED)]
    content = parts.select(*(parts[HASHED + name].alias(name) for name in names)).orderBy(*names)
    texts = per_block(content, _texts, pl.Schema({"text": pl.Binary}))
    return split_id(_streamed(texts), names, height, split)


def _texts(content: pl.DataFrame) -> pl.DataFrame:
    return pl.DataFrame({"text": [as_text(content)]}, schema={"text": pl.Binary})


def _streamed(texts: DataFrame) -> Iterator[bytes]:
    for row in texts.toLocalIterator(prefetchPartitions=True):
        yield bytes(row["text"])


def _finished(parts: DataFrame, id: str) -> DataFrame:
    from pyspark.sql import functions as F

    kept = parts.drop(*(name for name in parts.columns if name.startswith(HASHED)))
    return kept.withColumn("split_id", F.lit(id))


def _summary(parts: DataFrame, rows_of: dict[str, int], id: str) -> dict[str, Any]:
    from pyspark.sql import functions as F

    train = F.col("part") == "train"
    counts = [F.countDistinct(F.col(name)).alias(name) for name in ("user_id", "item_id")]
    known = [F.countDistinct(F.when(train, F.col(name))).alias(f"train_{name}") for name in ("user_id", "item_id")]
    found = parts.agg(*counts, *known).collect()[0]
    return {
        "split_id": id,
        "users": found["user_id"],
        "items": found["item_id"],
        "interactions": {**dict.fromkeys(PARTS, 0), **rows_of},
        "users_without_train": found["user_id"] - found["train_user_id"],
        "items_without_train": found["item_id"] - found["train_item_id"],
    }


def _disk() -> Any:
    from pyspark import StorageLevel

    return StorageLevel.DISK_ONLY
