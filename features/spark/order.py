"""The order of events on Spark: every row's number among all, the same however often a lost part is made again."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import add
from typing import TYPE_CHECKING

from features.spark.tables import FILE, ROW

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

PLACE, PIECE, FIRST = "_place", "_piece", "_first"
PIECES = 64  # a number is a row's rank in its piece, and pieces follow each other: no worker sorts everything
ERROR = 0.01  # of the quantiles that cut the pieces; it moves their size, not the order


def numbered(rows: DataFrame, keys: Sequence[str], pieces: int = PIECES) -> DataFrame:
    """The rows with `order` (long, 0..E-1): by `keys`, then by their place in the table, FILE and ROW."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    piece = _piece(rows, keys[0], pieces) if keys else F.col(FILE)
    cut = rows.withColumn(PIECE, piece)
    within = Window.partitionBy(PIECE).orderBy(*keys, FILE, ROW)
    rank = F.row_number().over(within) - 1 if keys else F.col(ROW)
    sizes = sorted((row[PIECE], row["count"]) for row in cut.groupBy(PIECE).count().collect())
    starts = [(number, sum(size for _, size in sizes[:place])) for place, (number, _) in enumerate(sizes)]
    listed = rows.sparkSession.createDataFrame(starts, f"{PIECE} int, {FIRST} long")
    placed = cut.withColumn(PLACE, rank).join(F.broadcast(listed), PIECE)
    return placed.withColumn("order", F.col(FIRST) + F.col(PLACE)).drop(PIECE, PLACE, FIRST)


def _piece(rows: DataFrame, key: str, pieces: int) -> Column:
    """Which of the pieces, which follow each other by `key`, a row is in; rows of one value are in one piece."""
    from pyspark.sql import functions as F

    shares = [number / pieces for number in range(1, pieces)]
    bounds = sorted(set(rows.approxQuantile(key, shares, ERROR)))
    return reduce(add, [(F.col(key) >= int(bound)).cast("int") for bound in bounds], F.lit(0))
