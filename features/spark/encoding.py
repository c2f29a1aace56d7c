"""Texts become vectors on the executors: each Python worker loads the encoder once and keeps it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import polars as pl

from features.spark.frames import from_polars, per_block
from language_models.encoders.shards import warm_encoder
from language_models.protocols import Encoded, TextEncoder
from schemas.sections import Encoder
from schemas.tables import TABLES

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

TEXTS = 4096  # that a worker encodes between two commits: what a killed run encodes again, for every worker
COUNTS = {"texts": pl.Int64, "truncated": pl.Int64, "tokens": pl.Int64, "limit": pl.Int64}


@dataclass(frozen=True, slots=True)
class Wave:
    """Vectors that the executors have made and kept, as rows of the table `vectors`; `limit` as of a TextEncoder."""

    rows: DataFrame
    done: Encoded
    limit: int | None


def encode_waves(spark: SparkSession, texts: pl.DataFrame, config: Encoder) -> Iterator[Wave]:
    """The vectors of texts (text_hash, text), so many at a time that every worker has some.

    Equal to those of one process up to rounding, because other texts are padded together. A wave's rows are kept until
    the next one is asked for. Raises what Spark raises where a worker cannot load the encoder.
    """
    workers = spark.sparkContext.defaultParallelism
    for texts_of_wave in texts.select("text_hash", "text").iter_slices(TEXTS * workers):
        wave = _wave(spark, texts_of_wave, config, workers)
        yield wave
        wave.rows.unpersist()


def _wave(spark: SparkSession, texts: pl.DataFrame, config: Encoder, workers: int) -> Wave:
    from pyspark import StorageLevel
    from pyspark.sql import functions as F

    settings, label, stored = config.model_dump_json(), config.label, TABLES["vectors"].empty().schema

    def encode(block: pl.DataFrame) -> pl.DataFrame:
        return encode_block(block, settings, label)

    shared = from_polars(spark, texts).repartition(workers)
    made = per_block(shared, encode, pl.Schema([*stored.items(), *COUNTS.items()])).persist(StorageLevel.DISK_ONLY)
    sums = [F.sum(name).alias(name) for name in ("texts", "truncated", "tokens")]
    told = made.agg(*sums, F.max("limit").alias("limit")).collect()[0]
    done = Encoded(told["texts"] or 0, told["truncated"] or 0, told["tokens"] or 0)
    return Wave(made.select(*stored), done, told["limit"])


def encode_block(block: pl.DataFrame, settings: str, label: str) -> pl.DataFrame:
    """A block of texts as rows of `vectors`; what it took stands in its first row."""
    encoder = _encoder(settings)
    before = encoder.done
    vectors = encoder.encode(block["text"].to_list())
    after = encoder.done
    counts = {"texts": block.height, "truncated": after.truncated - before.truncated}
    counts["tokens"] = after.tokens - before.tokens
    first = pl.int_range(pl.len()) == 0
    return block.select(
        pl.lit(label).alias("encoder"),
        "text_hash",
        pl.Series("vector", vectors.astype("float32")).arr.to_list(),
        *(pl.when(first).then(pl.lit(value, pl.Int64)).alias(name) for name, value in counts.items()),
        pl.lit(encoder.limit, pl.Int64).alias("limit"),
    )


@cache
def _encoder(settings: str) -> TextEncoder:
    """The encoder of a worker process."""
    return warm_encoder(Encoder.model_validate_json(settings))
