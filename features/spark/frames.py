"""Polars functions on Spark frames: on buckets of ids by `applyInArrow`, on blocks of rows by `mapInArrow`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa

from features.delta import arrow

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructType

BUCKET = "_bucket"
Work = Callable[[pl.DataFrame], pl.DataFrame]


def from_polars(spark: SparkSession, frame: pl.DataFrame) -> DataFrame:
    """The rows as a Spark frame."""
    return spark.createDataFrame(arrow(frame).cast(arrow_schema(frame.schema)))


def to_polars(frame: DataFrame) -> pl.DataFrame:
    """All rows on this machine."""
    return as_polars(frame.toArrow())


def as_polars(rows: pa.Table | pa.RecordBatch) -> pl.DataFrame:
    """Rows that Spark hands out, as a frame."""
    found = pl.from_arrow(rows)
    assert isinstance(found, pl.DataFrame), "a table has columns"
    return found


def schema_of(frame: DataFrame) -> pl.Schema:
    """The columns as Polars knows them."""
    from pyspark.sql.pandas.types import to_arrow_schema

    return as_polars(to_arrow_schema(frame.schema).empty_table()).schema


def spark_schema(schema: pl.Schema) -> StructType:
    """The columns as Spark knows them."""
    from pyspark.sql.pandas.types import from_arrow_schema

    return from_arrow_schema(arrow_schema(schema))


def arrow_schema(schema: pl.Schema) -> pa.Schema:
    """The columns in the types that Spark exchanges: no large strings or lists, every column nullable."""
    given = arrow(schema.to_frame()).schema
    return pa.schema([pa.field(field.name, _small(field.type)) for field in given])


def per_bucket(frame: DataFrame, by: str, buckets: int, work: Work, schema: pl.Schema) -> DataFrame:
    """What `work` makes of the rows of each bucket of ids `by`; all rows of an id are in one bucket, in any order.

    `schema`: the columns of what it returns. One bucket at a time is in a worker's memory.
    """
    from pyspark.sql import functions as F

    target = arrow_schema(schema)

    def one(rows: pa.Table) -> pa.Table:
        return _as_arrow(work(as_polars(rows.drop_columns([BUCKET]))), target)

    bucket = F.pmod(F.hash(by), F.lit(buckets))
    return frame.withColumn(BUCKET, bucket).groupBy(BUCKET).applyInArrow(one, spark_schema(schema))


def per_block(frame: DataFrame, work: Work, schema: pl.Schema) -> DataFrame:
    """What `work` makes of block after block of the rows, in their order within each partition."""
    target = arrow_schema(schema)

    def some(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield from _as_arrow(work(as_polars(batch)), target).to_batches()

    return frame.mapInArrow(some, spark_schema(schema))


def _as_arrow(frame: pl.DataFrame, target: pa.Schema) -> pa.Table:
    return arrow(frame.select(target.names)).cast(target)


def _small(dtype: pa.DataType) -> pa.DataType:
    if pa.types.is_large_string(dtype):
        return pa.string()
    if pa.types.is_large_binary(dtype):
        return pa.binary()
    if pa.types.is_list(dtype) or pa.types.is_large_list(dtype):
        return pa.list_(_small(dtype.value_type))
    if pa.types.is_struct(dtype):
        return pa.struct([pa.field(field.name, _small(field.type)) for field in dtype])
    return dtype
