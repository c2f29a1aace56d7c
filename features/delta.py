"""Writing Delta tables: one commit per night, empty ones included, flushed to disk (delta-rs calls no fsync itself)."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from urllib.parse import unquote
from uuid import uuid4

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, WriterProperties, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.fs import DeltaStorageHandler
from deltalake.transaction import AddAction
from pyarrow.fs import PyFileSystem

PARTITION = "ds"
ROW_GROUP = 2**17  # rows of what is written in batches, so that a reader need hold no more
# Old versions stay readable: delta's own default forgets log entries after 30 days, pinned ones too.
KEEP_LOG = {"delta.enableExpiredLogCleanup": "false"}
SETTINGS: dict[str, str | None] = {"delta.logRetentionDuration": "interval 365 days", **KEEP_LOG}


def write_night(uri: str, rows: pl.DataFrame, ds: str) -> None:
    """Replace one night of the table by `rows`, in one commit; makes the table, and adds columns it does not have."""
    rows = rows.with_columns(pl.lit(ds).alias(PARTITION))
    if not rows.height:
        _write_empty_night(uri, rows, ds)
        return
    where = f"{PARTITION} = '{ds}'"
    write_deltalake(
        uri,
        arrow(rows),
        mode="overwrite",
        predicate=where,
        partition_by=[PARTITION],
        schema_mode="merge",
        configuration=SETTINGS,
    )


def write_night_blocks(uri: str, batches: Iterator[pa.RecordBatch], ds: str) -> None:
    """Replace one night of the table by the rows of batches, at least one, in one commit, a few at a time."""
    first = next(batches)
    place = pa.field(PARTITION, pa.large_string())
    schema = first.schema.append(place)
    named = (
        pa.RecordBatch.from_arrays([*each.columns, pa.repeat(pa.scalar(ds, place.type), each.num_rows)], schema=schema)
        for each in chain([first], batches)
    )
    write_deltalake(
        uri,
        pa.RecordBatchReader.from_batches(schema, named),
        mode="overwrite",
        predicate=f"{PARTITION} = '{ds}'",
        partition_by=[PARTITION],
        schema_mode="merge",
        configuration=SETTINGS,
        writer_properties=WriterProperties(max_row_group_size=ROW_GROUP),
    )


def write_rows(uri: str, rows: pl.DataFrame, partition_by: list[str] | None = None) -> None:
    """Append rows in one commit; makes the table, and adds columns it does not have."""
    write_deltalake(
        uri, arrow(rows), mode="append", partition_by=partition_by, schema_mode="merge", configuration=SETTINGS
    )


def write_next(uri: str, table: DeltaTable | None, rows: pl.DataFrame) -> None:
    """Make `rows` the whole content, in the very commit after the version of `table` (None: the first one).

    Raises CommitFailedError where another writer's commit came first: nothing is then written.
    """
    once = CommitProperties(max_commit_retries=0)
    if table is not None:
        own = DeltaTable(uri, version=table.version())  # the write moves its handle on to the new version
        write_deltalake(own, arrow(rows), mode="overwrite", schema_mode="merge", commit_properties=once)
        return
    try:
        write_deltalake(uri, arrow(rows), mode="error", configuration=SETTINGS, commit_properties=once)
    except DeltaError as error:
        if "already exists" in str(error):
            raise CommitFailedError(str(error)) from error
        raise


def arrow(rows: pl.DataFrame) -> pa.Table:
    """The rows as every reader of ours understands them."""
    return rows.to_arrow(compat_level=pl.CompatLevel.oldest())


def nights(table: DeltaTable) -> list[str]:
    """The partitions of a table, oldest first; a night without rows is among them."""
    return sorted(str(row[PARTITION]) for row in table.partitions() if PARTITION in row)


def files_of(table: DeltaTable, ds: str) -> set[str]:
    """The data files of one night."""
    return set(table.file_uris(file_pruning_predicate=[(PARTITION, "=", ds)]))


def same_night(table: DeltaTable, ds: str, since: int) -> bool:
    """Whether no commit after version `since` has changed a night's rows: compaction moves them and changes none.

    Raises DeltaError where that version cannot be read.
    """
    version, uri = int(table.version()), table.table_uri
    moves = [entry["version"] for entry in table.history(version - since) if entry["operation"] == "OPTIMIZE"]
    for moved in sorted(moves, reverse=True):
        if files_of(DeltaTable(uri, version=version), ds) != files_of(DeltaTable(uri, version=moved), ds):
            return False
        version = moved - 1
    return files_of(DeltaTable(uri, version=version), ds) == files_of(DeltaTable(uri, version=since), ds)


def sync_commits(table: Path, first: int, last: int) -> None:
    """Flush to disk what commits `first` to `last` added to a local table: data files, log entries, folders."""
    log = table / "_delta_log"
    entries = [log / f"{version:020}.json" for version in range(first, last + 1)]
    files = [path for entry in entries for path in _added(table, entry)]
    for path in [*files, *entries]:
        _sync(path)
    for folder in sorted({path.parent for path in files} | {log, table, table.parent}):
        _sync(folder)


def _write_empty_night(uri: str, rows: pl.DataFrame, ds: str) -> None:
    """A night without rows is a file without rows: Delta knows a partition by its files alone."""
    if not DeltaTable.is_deltatable(uri) or not set(rows.columns) <= {f.name for f in DeltaTable(uri).schema().fields}:
        write_rows(uri, rows, partition_by=[PARTITION])  # no rows: makes the table or adds the columns
    files = PyFileSystem(DeltaStorageHandler(uri))
    path = f"{PARTITION}={ds}/part-00000-{uuid4()}.parquet"
    pq.write_table(arrow(rows.drop(PARTITION)), path, filesystem=files)
    size = files.get_file_info(path).size
    add = AddAction(path, size, {PARTITION: ds}, int(time.time() * 1000), True, json.dumps({"numRecords": 0}))
    live = DeltaTable(uri)
    live.create_write_transaction([add], "overwrite", live.schema(), [PARTITION], [(PARTITION, "=", ds)])


def _added(table: Path, entry: Path) -> list[Path]:
    lines = entry.read_text(encoding="utf-8").split("\n")  # statistics hold ids, which may hold other line ends
    actions = [json.loads(line) for line in lines if line]
    return [table / unquote(action["add"]["path"]) for action in actions if "add" in action]


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
