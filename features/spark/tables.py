"""The lake's tables as Spark frames: by the live version's file list without extra jars, or by the Delta connector."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from deltalake import DeltaTable

from features.delta import PARTITION
from features.spark.session import has_connector
from features.store import TableStore
from schemas.errors import StoreError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

FILE, ROW = "_file", "_row"  # where a row stands in the table: the place of its file in the list, its row in the file


def read_table(
    spark: SparkSession, store: TableStore, name: str, ds: str | None = None, version: int | None = None
) -> DataFrame:
    """A table, or one night of it, as a Spark frame; vectors arrive as `array<float>`. `version` None: the live one.

    Reading the folder itself would bring back rows of older versions, so the version's file list is read; with the
    Delta connector that is what it does. Raises StoreError where the table is not there or the night has no rows.
    """
    files = _files(store, name, ds, version)
    if has_connector(spark):
        reader = spark.read.format("delta")
        reader = reader if version is None else reader.option("versionAsOf", version)
        rows = reader.load(f"{store.root}/{name}")
        return rows if ds is None else rows.where(rows[PARTITION] == ds)
    return spark.read.option("basePath", f"{store.root}/{name}").parquet(*files)


def read_placed(spark: SparkSession, store: TableStore, name: str, ds: str, version: int | None = None) -> DataFrame:
    """One night of a table without `ds`, with the columns FILE and ROW: the order in which Polars reads the rows.

    Raises StoreError as `read_table` does.
    """
    from pyspark.sql import functions as F

    files = _files(store, name, ds, version)
    rows = spark.read.option("basePath", f"{store.root}/{name}").parquet(*files).drop(PARTITION)
    row = F.col("_metadata.row_index").alias(ROW)
    if len(files) == 1:
        return rows.select("*", F.lit(0).alias(FILE), row)
    places = [(PurePosixPath(file).name, place) for place, file in enumerate(files)]
    named = rows.select("*", F.col("_metadata.file_name").alias("_name"), row)
    listed = spark.createDataFrame(places, f"_name string, {FILE} int")
    return named.join(F.broadcast(listed), "_name").drop("_name")


def _files(store: TableStore, name: str, ds: str | None, version: int | None) -> Sequence[str]:
    night = [(PARTITION, "=", ds)] if ds is not None else None
    known = store.exists(name, ds)
    files = DeltaTable(f"{store.root}/{name}", version=version).file_uris(file_pruning_predicate=night) if known else []
    if not files:
        about = f" for {ds}" if ds else ""
        raise StoreError(f"lake {store.root}: table {name}: nothing to read{about}; run the night first")
    return files
