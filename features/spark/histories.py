"""Histories and prompts on Spark: those of each bucket of users (or items), made by the functions of one machine."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa

from features.histories import Posed, ask_each, shown, train_of
from features.recipes.base import Recipe
from features.refresh import Bag
from features.spark.frames import BUCKET, arrow_schema, as_polars, spark_schema
from schemas.sections import Refresh

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

PAYLOAD = pl.Schema({"id": pl.String, "asked": pl.Binary})


def asked(
    recipe: Recipe,
    own: DataFrame,
    other: pl.DataFrame,
    splits: DataFrame,
    rule: Refresh,
    bags: Mapping[str, Bag] | None,
    buckets: int,
) -> Iterator[Posed]:
    """The recipe's subjects with their prompts, in the order of their ids, one after the other.

    `own`: the table of the recipe's kind; `other`: that of the other side, which every worker holds; `splits`: the
    table `splits`; `rule`, `bags`: as of `features.refresh`. For recipes that show no text of another one.
    """
    shared = own.sparkSession.sparkContext.broadcast((recipe, other.drop("ds", strict=False), rule, bags))
    target = arrow_schema(PAYLOAD)

    def one(mine: pa.Table, rows: pa.Table) -> pa.Table:
        recipe, other, rule, bags = shared.value
        train = train_of(recipe.kind, _without_bucket(mine), other, _without_bucket(rows))
        found = list(ask_each(recipe, shown(recipe, train.subjects(recipe.kind), rule, bags)))
        ids = [each.subject.id for each in found]
        return pa.table({"id": ids, "asked": [pickle.dumps(each) for each in found]}, schema=target)

    left, right = _bucketed(own, "id", buckets), _bucketed(splits, f"{recipe.kind}_id", buckets)
    made = left.cogroup(right).applyInArrow(one, spark_schema(PAYLOAD))
    for row in made.orderBy("id").toLocalIterator(prefetchPartitions=True):
        yield pickle.loads(row["asked"])
    shared.destroy()


def _bucketed(frame: DataFrame, by: str, buckets: int) -> DataFrame:
    from pyspark.sql import functions as F

    return frame.drop("ds").withColumn(BUCKET, F.pmod(F.hash(by), F.lit(buckets))).groupBy(BUCKET)


def _without_bucket(rows: pa.Table) -> pl.DataFrame:
    return as_polars(rows.drop_columns([BUCKET]))
