"""What has changed since the night before: which of a recipe's prompts are new, other ones, the same, or gone."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from pipelines.night import Night

SUBJECT = ("id", "part")


@dataclass(frozen=True, slots=True)
class Increments:
    """A recipe's subjects against the latest earlier night, by the key of their prompt.

    At most `new` + `changed` calls are made, and one for each of `unchanged` whose call failed that night. `since` is
    that night, None where there is none.
    """

    new: int
    changed: int
    unchanged: int
    gone: int
    since: str | None = None

    def __str__(self) -> str:
        known = f"{self.changed:,} changed, {self.unchanged:,} unchanged, {self.gone:,} gone since {self.since}"
        return f"{self.new:,} new" + (f", {known}" if self.since else "")


def night_before(night: Night, table: str) -> str | None:
    """The latest night before this one that has published a table; later nights are never looked at."""
    nights = night.store.partitions(table) if night.store.exists(table) else []
    return max((ds for ds in nights if ds < night.ds), default=None)


def last_published(night: Night, table: str) -> pl.DataFrame:
    """The table as the night before has published it; no rows where there is none."""
    before = night_before(night, table)
    return night.empty(table) if before is None else night.read(table, ds=before)


def count(before: pl.DataFrame, now: pl.DataFrame, since: str | None) -> Increments:
    """Compare two nights of one recipe; both frames have id, part and key."""
    both = now.select(*SUBJECT, "key").join(before.select(*SUBJECT, pl.col("key").alias("old")), on=SUBJECT, how="full")
    old, key = pl.col("old").is_not_null(), pl.col("key").is_not_null()
    counts = both.select(
        new=(key & ~old).sum(),
        changed=(key & old & (pl.col("key") != pl.col("old"))).sum(),
        unchanged=(pl.col("key") == pl.col("old")).sum(),
        gone=(old & ~key).sum(),
    )
    return Increments(**counts.row(0, named=True), since=since)
