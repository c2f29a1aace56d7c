"""Rows that come in blocks: kept in a file until it is known whether they change a table, and compared by a digest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from features.delta import arrow

ROWS_AT_ONCE = 2**16
SEEDS = (0, 1)  # two sums of 64-bit hashes: a change that leaves both as they are will not be met


@dataclass
class Digest:
    """What rows are, whatever their order: their number, and the sums of two hashes of each."""

    rows: int = 0
    sums: tuple[int, ...] = (0,) * len(SEEDS)

    def add(self, block: pl.DataFrame) -> None:
        """Count the rows of a block in."""
        self.rows += block.height
        hashes = [block.hash_rows(seed).to_numpy() for seed in SEEDS] if block.height else []
        added = [int(each.sum(dtype=np.uint64)) for each in hashes] or [0] * len(SEEDS)
        self.sums = tuple((old + new) % 2**64 for old, new in zip(self.sums, added, strict=True))


class Spool:
    """A file that takes blocks of rows of the same columns, and gives them back; gone after the `with` block."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / f"rows-{uuid4()}.partial"
        self._writer: pq.ParquetWriter | None = None
        self.schema = pl.Schema()
        self.digest = Digest()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()
        self._file.unlink(missing_ok=True)

    def add(self, block: pl.DataFrame) -> None:
        """Take a block, which must have the columns of those before it."""
        table = arrow(block)
        if self._writer is None:
            self.schema = block.schema
            self._writer = pq.ParquetWriter(self._file, table.schema)
        assert block.schema == self.schema, "every block of a table has the same columns"
        self._writer.write_table(table)
        self.digest.add(block)

    def read(self) -> Iterator[pa.RecordBatch]:
        """Give everything that was taken, in order, a batch at a time; nothing can be added any more."""
        self._close()
        with pq.ParquetFile(self._file) as file:
            yield from file.iter_batches(ROWS_AT_ONCE)

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def same_content(spool: Spool, live: Iterable[pl.DataFrame]) -> bool:
    """Whether the rows of the spool would change nothing: `same_rows`, with both sides a block at a time."""
    found = Digest()
    for block in live:
        if any(block.schema.get(name) != dtype for name, dtype in spool.schema.items()):
            return False
        if any(block[name].null_count() < block.height for name in block.columns if name not in spool.schema):
            return False
        found.add(block.select(spool.schema.names()))
    return found == spool.digest
