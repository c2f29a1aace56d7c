"""The lake's tables as Spark frames, without extra jars: the live files of a Delta table are read as Parquet."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from deltalake import DeltaTable

from features.store import DeltaStore
from schemas.errors import StoreError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def local_session(cores: int = 2) -> SparkSession:
    """A Spark session on this machine: loopback only, UTC, no web page. Needs Java 17."""
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # workers must run this interpreter
    return (
        SparkSession.builder.master(f"local[{cores}]")
        .appName("loregraph")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", str(2 * cores))
        .config("spark.sql.session.timeZone", "UTC")
        .getOrCreate()
    )


def read_table(spark: SparkSession, store: DeltaStore, name: str, ds: str | None = None) -> DataFrame:
    """A table, or one night of it, as a Spark frame; vectors arrive as `array<float>`.

    Reading the folder itself would bring back rows of older versions, so the live version's file list is read.
    Raises StoreError where the table is not there or the night has no rows.
    """
    night = [("ds", "=", ds)] if ds is not None else None
    known = store.exists(name, ds)
    files = DeltaTable(f"{store.root}/{name}").file_uris(file_pruning_predicate=night) if known else []
    if not files:
        raise StoreError(f"lake {store.root}: table {name}: nothing to read{f' for {ds}' if ds else ''}")
    return spark.read.option("basePath", f"{store.root}/{name}").parquet(*files)
