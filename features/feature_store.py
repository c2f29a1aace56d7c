"""The lake as its readers see it: the tables of one release, each in the version that the release pins."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime

import polars as pl

from features.corpus import Corpus, make_corpus
from features.point_in_time import Clock, Named, join_as_of, join_one, named, went_live
from features.releases import Release, Releases, is_nightly
from features.store import DeltaStore, TableStore
from features.table import FeatureTable, align
from schemas.errors import DataError, StoreError, unknown_name
from schemas.records import Kind


class Snapshot:
    """One release. Every read is of the versions that it pins, so two tables are always of the same night."""

    def __init__(self, store: TableStore, release: Release) -> None:
        self.store, self.release = store, release

    def read(self, table: str, columns: Sequence[str] | None = None, where: pl.Expr | None = None) -> pl.DataFrame:
        """The night's rows of a table, without `ds`; of a table that grows, all it had.

        Raises StoreError where the release has no such table, or its version is no longer kept.
        """
        version = self.release.tables.get(table)
        if version is None:
            where_from = f"lake {self.store.root}: release {self.release.number}: table"
            raise StoreError(unknown_name(where_from, table, self.release.tables))
        night = self.release.ds if is_nightly(self.store, table) else None
        return self.store.read(table, ds=night, version=version, columns=columns, where=where)

    def names(self) -> list[str]:
        """The tables of the release, sorted."""
        return sorted(self.release.tables)

    def corpus(self) -> Corpus:
        """Users, items and interactions on one index."""
        return make_corpus(self.read("users"), self.read("items"), self.read("splits"))

    def join(
        self, entities: pl.DataFrame, source: str | Sequence[str], kind: Kind = "item", id: str | None = None
    ) -> pl.DataFrame:
        """Entities with a column for every source, called as it is; null where an id has nothing.

        `source`: a column of users or items (`title`), a profile (`recipe/field`), a vector (`recipe/field@encoder`).
        `id`: the entities' column of ids, by default `user_id` or `item_id`, else `id`.
        """
        wanted = named(source, kind)
        ids = id_column(entities, kind, id, wanted)
        return join_one(entities, ids, self, wanted)

    def vectors(self, source: str, kind: Kind, ids: pl.Series) -> FeatureTable:
        """Vectors of a source (`recipe/field@encoder`) in the order of `ids`: x [N, D], and who has one."""
        mine = (pl.col("kind") == kind) & (pl.col("source") == source) & pl.col("id").is_in(ids.to_list())
        return align(self.read("embeddings", ["id", "vector"], mine), ids, kind, source)


class FeatureStore:
    """The releases of a lake, given by its address or as a store."""

    def __init__(self, store: TableStore | str) -> None:
        self.store: TableStore = DeltaStore(store) if isinstance(store, str) else store
        self.releases = Releases(self.store)

    def latest(self) -> Snapshot:
        """What is live now. Raises StoreError where nothing was released."""
        return Snapshot(self.store, self.releases.live())

    def as_of(self, ts: int | date | str) -> Snapshot:
        """What was live at a time: unix seconds, a datetime, or one in ISO format; UTC where it names no zone.

        A day alone is its midnight. Raises StoreError before the first release, DataError for what is no time.
        """
        return Snapshot(self.store, self.releases.as_of(unix_seconds(ts)))

    def release(self, number: int) -> Snapshot:
        """A release by its number. Raises StoreError where it is not there."""
        return Snapshot(self.store, self.releases.number(number))

    def join(
        self,
        entities: pl.DataFrame,
        source: str | Sequence[str],
        kind: Kind = "item",
        id: str | None = None,
        ts: str = "ts",
        clock: Clock = "made",
    ) -> pl.DataFrame:
        """Entities with what was live at the time of each row, never anything later: as `Snapshot.join`, and `release`.

        `ts`: the column of times, unix seconds, Datetime or Date (UTC). A row from before the first release has null
        everywhere. `clock` says from when on a release counts: `made`, when it went live, or `night`, the end of its
        `ds`, for nights that were replayed later. Raises DataError for columns that are wrong, StoreError where no
        release has a source, or two of them have it in another type or length.
        """
        wanted = named(source, kind)
        ids = id_column(entities, kind, id, wanted)
        begun = went_live(self.releases.all(), clock)
        return join_as_of(entities, ids, ts, [(at, Snapshot(self.store, each)) for at, each in begun], wanted)


def id_column(entities: pl.DataFrame, kind: Kind, id: str | None, wanted: Sequence[Named]) -> str:
    """The column of ids. Raises DataError where there is none, or a source's column is there already."""
    names = [id] if id is not None else [f"{kind}_id", "id"]
    found = next((name for name in names if name in entities.columns), None)
    if found is None:
        raise DataError(f"entities: expected a column {' or '.join(names)}, found {', '.join(entities.columns)}")
    if twice := [each.source for each in wanted if each.source in entities.columns]:
        raise DataError(f"entities: column {twice[0]} is there already; rename it before the join")
    return found


def unix_seconds(ts: int | date | str) -> int:
    """A time as unix seconds, rounded down. Raises DataError for what is none."""
    if isinstance(ts, str):
        try:
            ts = datetime.fromisoformat(ts)
        except ValueError:
            raise DataError(f"as of {ts!r}: expected a time such as 2026-11-22T06:00:00") from None
    if isinstance(ts, date) and not isinstance(ts, datetime):
        ts = datetime(ts.year, ts.month, ts.day)
    if isinstance(ts, datetime):
        return int((ts if ts.tzinfo else ts.replace(tzinfo=UTC)).timestamp() // 1)
    return int(ts)
