"""Spark's files in the lake: written beside the live ones, where no reader looks, then added by one Delta commit.

Killed before the commit, the files are nobody's: readers see the night as it was, and a vacuum removes them.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import polars as pl
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.fs import DeltaStorageHandler
from deltalake.transaction import AddAction
from pyarrow.fs import FileSelector, FileType, PyFileSystem

from features.blocks import SEEDS, Digest
from features.delta import PARTITION, write_rows
from features.spark.frames import per_block, spark_schema
from features.spark.session import has_connector
from features.spark.tables import read_table
from features.store import TableStore

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True, slots=True)
class Written:
    """A data file that no commit has added yet; `path` is relative to the table."""

    path: str
    size: int  # bytes
    rows: int


def overwrite(store: TableStore, name: str, frame: DataFrame, schema: pl.Schema, ds: str) -> tuple[int, int]:
    """`TableStore.overwrite` with a frame of Spark: one commit, and none where the night has these rows already.

    `schema`: the columns that the table is given, which the frame's are cast to. Returns the table's version and the
    number of rows. Raises StoreError as `TableStore.overwrite` does.
    """
    stored = store.fitted(name, schema, ds)
    rows = _cast(frame, stored)
    if has_connector(frame.sparkSession):
        return _by_connector(store, name, rows, stored, ds)
    if not store.exists(name) or not set(stored) <= set(_columns(store, name)):
        with store.committing(name) as uri:
            write_rows(uri, _nothing(stored), [PARTITION])
    files = write_files(rows, store, name, f"{PARTITION}={ds}")
    height = sum(file.rows for file in files)
    if not height or _is_live(store, name, files, rows, ds):
        remove(store, name, files)
        if not height:
            return store.overwrite(name, stored.to_frame(), ds), 0
        return store.version(name), height
    with store.committing(name) as uri:
        commit(uri, files, "overwrite", ds)
    return store.version(name), height


def append(store: TableStore, name: str, frame: DataFrame, schema: pl.Schema) -> int:
    """Add a frame's rows, whose keys the growing table does not have, in one commit; returns how many."""
    stored = store.fitted(name, schema, None)
    if not store.exists(name):
        with store.committing(name) as uri:
            write_rows(uri, stored.to_frame())
    files = [file for file in write_files(_cast(frame, stored), store, name, "") if file.rows]
    if files:
        with store.committing(name) as uri:
            commit(uri, files, "append", None)
    return sum(file.rows for file in files)


def write_files(rows: DataFrame, store: TableStore, name: str, below: str) -> list[Written]:
    """Have Spark write its rows as Parquet into a folder of their own, below one of the table, and flush them."""
    folder = "/".join(filter(None, [below, f"spark-{uuid4()}"]))
    rows.write.parquet(f"{store.root}/{name}/{folder}")
    files = _files(store, name)
    listed = files.get_file_info(FileSelector(folder))
    found = [each for each in listed if each.base_name.endswith(".parquet")]
    for other in listed:
        if other.type == FileType.File and other not in found:  # checksums, which no vacuum would remove
            files.delete_file(other.path)
    written = [Written(each.path, each.size, pq.read_metadata(each.path, filesystem=files).num_rows) for each in found]
    if "://" not in store.root:
        _sync(Path(store.root, name, folder))
    return written


def commit(uri: str, files: Sequence[Written], mode: str, ds: str | None) -> None:
    """Add files to a table: in place of a night's, or to those of a table without nights."""
    partition = {} if ds is None else {PARTITION: ds}
    now = int(time.time() * 1000)
    adds = [
        AddAction(file.path, file.size, partition, now, True, json.dumps({"numRecords": file.rows}))
        for file in files
        if file.rows
    ]
    live = DeltaTable(uri)
    night = None if ds is None else [(PARTITION, "=", ds)]
    live.create_write_transaction(adds, mode, live.schema(), [*partition], night)


def remove(store: TableStore, name: str, files: Sequence[Written]) -> None:
    """Delete files that no commit has added."""
    for folder in {file.path.rpartition("/")[0] for file in files}:
        _files(store, name).delete_dir(folder)


def digest_of(rows: DataFrame) -> Digest:
    """What the rows are, whatever their order: summed up by the executors."""
    schema = pl.Schema({"rows": pl.Int64, **{f"sum{seed}": pl.String for seed in SEEDS}})
    columns = sorted(rows.columns)
    sums = per_block(rows.select(*columns), _digest, schema)
    total = Digest()
    for found in sums.toLocalIterator():
        more = [int(found[f"sum{seed}"]) for seed in SEEDS]
        total.rows += found["rows"]
        total.sums = tuple((old + new) % 2**64 for old, new in zip(total.sums, more, strict=True))
    return total


def _digest(block: pl.DataFrame) -> pl.DataFrame:
    digest = Digest()
    digest.add(block)
    sums = {f"sum{seed}": str(found) for seed, found in zip(SEEDS, digest.sums, strict=True)}  # Spark has no uint64
    return pl.DataFrame({"rows": digest.rows, **sums})


def _is_live(store: TableStore, name: str, files: Sequence[Written], rows: DataFrame, ds: str) -> bool:
    """Whether a night holds the written rows already; what they leave out must be empty in it."""
    if not store.exists(name, ds):
        return False
    from pyspark.sql import functions as F

    spark = rows.sparkSession
    live = read_table(spark, store, name, ds).drop(PARTITION)
    more = [name for name in live.columns if name not in rows.columns]
    if more and live.agg(*(F.count(F.col(name)) for name in more)).collect()[0] != (0,) * len(more):
        return False
    new = spark.read.parquet(*(f"{store.root}/{name}/{file.path}" for file in files))
    return digest_of(new) == digest_of(live.select(*rows.columns))


def _by_connector(store: TableStore, name: str, rows: DataFrame, stored: pl.Schema, ds: str) -> tuple[int, int]:
    """The same with the Delta connector, which writes and commits by itself."""
    from pyspark.sql import functions as F

    rows = rows.persist()
    height = rows.count()
    if not height:
        return store.overwrite(name, stored.to_frame(), ds), 0
    if store.exists(name, ds):
        live = read_table(rows.sparkSession, store, name, ds).drop(PARTITION)
        if set(live.columns) == set(rows.columns) and digest_of(rows) == digest_of(live):
            return store.version(name), height
    with store.committing(name) as uri:
        writer = rows.withColumn(PARTITION, F.lit(ds)).write.format("delta").mode("overwrite")
        writer = writer.option("replaceWhere", f"{PARTITION} = '{ds}'").option("mergeSchema", "true")
        writer.partitionBy(PARTITION).save(uri)
    return store.version(name), height


def _cast(frame: DataFrame, schema: pl.Schema) -> DataFrame:
    wanted = spark_schema(schema)
    return frame.select(*(frame[field.name].cast(field.dataType).alias(field.name) for field in wanted))


def _columns(store: TableStore, name: str) -> list[str]:
    return [field.name for field in DeltaTable(f"{store.root}/{name}").schema().fields]


def _nothing(stored: pl.Schema) -> pl.DataFrame:
    return stored.to_frame().with_columns(pl.lit("").alias(PARTITION))


def _files(store: TableStore, name: str) -> PyFileSystem:
    return PyFileSystem(DeltaStorageHandler(f"{store.root}/{name}"))


def _sync(folder: Path) -> None:
    """Flush a folder's entry in the one above it; `sync_commits` flushes what is in it."""
    descriptor = os.open(folder.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
