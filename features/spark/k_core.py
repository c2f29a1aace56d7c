"""The k-core on Spark: users and items with too few rows are dropped, round after round, until none is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from features.spark.frames import from_polars, to_polars

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SIDES = ("user_id", "item_id")
PLACE = "_place"


def k_core(interactions: DataFrame, k: int) -> DataFrame:
    """The largest set of rows in which every user and every item has at least `k`: `features.splits.k_core`.

    A round counts both sides; what it keeps is written to the executors' disks, so that a round costs one pass.
    """
    from pyspark import StorageLevel

    level = StorageLevel.DISK_ONLY
    rows = interactions.localCheckpoint(eager=True, storageLevel=level)
    height, before = rows.count(), -1
    while height != before:
        before = height
        for side in SIDES:
            rows = _enough(rows, side, k)
        rows = rows.localCheckpoint(eager=True, storageLevel=level)
        height = rows.count()
    return rows


def _enough(rows: DataFrame, side: str, k: int) -> DataFrame:
    from pyspark.sql import functions as F

    counted = rows.groupBy(side).count().where(F.col("count") >= k)
    return rows.join(counted, side, "left_semi").select(rows.columns)


def k_core_of(spark: SparkSession, interactions: pl.DataFrame, k: int) -> pl.DataFrame:
    """The k-core of rows in this process, in the order given: Spark sees user and item of them alone."""
    pairs = interactions.select(*SIDES).with_row_index(PLACE)
    kept = to_polars(k_core(from_polars(spark, pairs.cast({PLACE: pl.Int64})), k).select(PLACE))
    return interactions[kept[PLACE].sort()]
