"""What a table of the lake is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

String, Int64, Float32, Float64 = pl.String(), pl.Int64(), pl.Float32(), pl.Float64()


@dataclass(frozen=True)
class Table:
    """One table. `open` tables carry further columns of the source; `optional` ones may be absent.

    `nightly` tables have one partition per `ds`; the others only grow.
    """

    doc: str
    columns: Mapping[str, pl.DataType]
    key: tuple[str, ...]
    open: bool = False
    optional: Mapping[str, pl.DataType] | None = None
    nightly: bool = True

    def empty(self) -> pl.DataFrame:
        """A frame of no rows with the columns of the table."""
        return pl.DataFrame(schema=dict(self.columns))
