"""Point-in-time joins: every row of a training frame with the features that were live at its own time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, Protocol

import numpy as np
import polars as pl

from features.releases import Release
from schemas.errors import DataError, StoreError, unknown_name
from schemas.records import Kind

Clock = Literal["made", "night"]


@dataclass(frozen=True, slots=True)
class Named:
    """What is joined, by the name that a run file would give it: `title`, `recipe/field`, `recipe/field@encoder`."""

    source: str
    kind: Kind

    @property
    def table(self) -> str:
        """Where it is."""
        return "embeddings" if "@" in self.source else "profiles" if "/" in self.source else f"{self.kind}s"

    @property
    def column(self) -> str:
        """The column of the table that holds it."""
        return {"embeddings": "vector", "profiles": "text"}.get(self.table, self.source)

    @property
    def where(self) -> pl.Expr:
        """Its rows among those of the table."""
        mine = pl.col("kind") == self.kind
        if self.table == "embeddings":
            return mine & (pl.col("source") == self.source)
        recipe, _, field = self.source.partition("/")
        return mine & (pl.col("recipe") == recipe) & (pl.col("field") == field) if field else pl.lit(True)


class Tables(Protocol):
    """What is read here of a snapshot."""

    release: Release

    def read(self, table: str, columns: Sequence[str] | None = None, where: pl.Expr | None = None) -> pl.DataFrame:
        """Rows of a table."""
        ...


def named(source: str | Sequence[str], kind: Kind) -> list[Named]:
    """Each source once, in order."""
    return [Named(each, kind) for each in dict.fromkeys([source] if isinstance(source, str) else source)]


def went_live(releases: Sequence[Release], clock: Clock) -> list[tuple[int, Release]]:
    """From which unix second on each release counts, oldest first.

    `made`: when it went live, rollbacks included. `night`: the end of its night; of a night's releases the last counts,
    and none that was rolled back.
    """
    if clock == "made":
        return [(each.made_at, each) for each in releases]
    undone = {
        number for each in releases if each.restores is not None for number in range(each.restores + 1, each.number)
    }
    nights = {each.ds: each for each in releases if each.number not in undone}
    return [(_end_of(ds), nights[ds]) for ds in sorted(nights)]


def values_of(snapshot: Tables, wanted: Named, ids: pl.Series) -> pl.DataFrame | None:
    """A source of some ids: `id` and the source's column. None where the release has no such table or column."""
    if wanted.table not in snapshot.release.tables:
        return None
    keep = wanted.where & pl.col("id").is_in(ids.drop_nulls().unique().to_list())
    if wanted.column not in _columns(snapshot, wanted.table):
        return None
    return snapshot.read(wanted.table, ["id", wanted.column], keep).rename({wanted.column: wanted.source})


def join_one(entities: pl.DataFrame, id: str, snapshot: Tables, wanted: Sequence[Named]) -> pl.DataFrame:
    """Entities with the values of one release. Raises StoreError where it does not have a source at all."""
    for each in wanted:
        values = values_of(snapshot, each, entities[id])
        if values is None or not values.height:
            _refuse_unknown(each, [snapshot])
        assert values is not None, "refused above"
        entities = entities.join(
            values, left_on=id, right_on="id", how="left", maintain_order="left", validate="m:1", coalesce=True
        )
    return entities


def join_as_of(
    entities: pl.DataFrame, id: str, ts: str, begun: Sequence[tuple[int, Tables]], wanted: Sequence[Named]
) -> pl.DataFrame:
    """Entities with a column for every source and `release`, the number of the one that was live at `ts`."""
    if "release" in entities.columns:
        raise DataError("entities: column release is there already; rename it before the join")
    starts = np.array([at for at, _ in begun], dtype=np.int64)
    place = np.searchsorted(starts, seconds(entities, ts), side="right") - 1  # [N], -1: before the first one
    used = {number: begun[number][1] for number in sorted(set(place.tolist()) - {-1})}
    numbers = [*(snapshot.release.number for _, snapshot in begun), None]  # the last for place -1
    rows = entities.with_columns(pl.Series("release", [numbers[each] for each in place.tolist()], dtype=pl.Int64))
    for each in wanted:
        found = [_some(snapshot, each, rows.filter(place == number)[id]) for number, snapshot in used.items()]
        frames = [frame for frame in found if frame is not None]
        if used and not any(frame.height for frame in frames):
            _refuse_unknown(each, list(used.values()))
        rows = _with(rows, id, each, frames)
    return rows


def seconds(entities: pl.DataFrame, ts: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The times of the entities as unix seconds, rounded down; a missing one is before everything.

    Raises DataError where the column is not there or holds no times.
    """
    if ts not in entities.columns:
        raise DataError(f"entities: expected a column {ts} with times, found {', '.join(entities.columns)}")
    times = entities[ts]
    if times.dtype.is_temporal() and times.dtype != pl.Time and not isinstance(times.dtype, pl.Duration):
        times = times.cast(pl.Datetime("us")) if times.dtype == pl.Date else times
        times = times.dt.epoch("us") // 1_000_000
    elif times.dtype.is_float():
        times = times.floor()
    elif not times.dtype.is_integer() and times.dtype != pl.Null:
        raise DataError(f"entities: column {ts}: expected unix seconds, Datetime or Date, found {times.dtype}")
    return times.cast(pl.Int64).fill_null(np.iinfo(np.int64).min).to_numpy()


def _some(snapshot: Tables, wanted: Named, ids: pl.Series) -> pl.DataFrame | None:
    values = values_of(snapshot, wanted, ids)
    return None if values is None else values.with_columns(release=pl.lit(snapshot.release.number, pl.Int64))


def _with(rows: pl.DataFrame, id: str, wanted: Named, frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Rows with one more column. What a release does not have is null for its rows."""
    if not frames:
        return rows.with_columns(pl.lit(None).alias(wanted.source))
    _refuse_other_types(wanted, [frame for frame in frames if frame.height])
    values = pl.concat([frame for frame in frames if frame.height] or frames[-1:])
    left, right = [id, "release"], ["id", "release"]
    return rows.join(
        values, left_on=left, right_on=right, how="left", maintain_order="left", validate="m:1", coalesce=True
    )


def _refuse_unknown(wanted: Named, used: Sequence[Tables]) -> None:
    """Raise StoreError where no release has the source at all; a source of which nobody has anything is fine."""
    known = {name for snapshot in used for name in _sources(snapshot, wanted)}
    if wanted.source not in known:
        numbers = ", ".join(str(snapshot.release.number) for snapshot in used)
        raise StoreError(unknown_name(f"{wanted.table} of release {numbers}", wanted.source, known))


def _sources(snapshot: Tables, wanted: Named) -> list[str]:
    """Everything of the kind that a release could have given in place of a source."""
    if wanted.table not in snapshot.release.tables:
        return []
    if wanted.table in ("users", "items"):
        return [name for name in _columns(snapshot, wanted.table) if name != "id"]
    names = ["source"] if wanted.table == "embeddings" else ["recipe", "field"]
    rows = snapshot.read(wanted.table, names, pl.col("kind") == wanted.kind).unique()
    return rows.select(pl.concat_str(names, separator="/")).to_series().to_list()


def _refuse_other_types(wanted: Named, frames: Sequence[pl.DataFrame]) -> None:
    """Raise StoreError where two releases have the source in other types, or as vectors of other lengths."""
    told = [(int(frame["release"][0]), _shape(frame[wanted.source])) for frame in frames]
    for number, shape in told[1:]:
        if shape != told[0][1]:
            raise StoreError(
                f"{wanted.source}: release {told[0][0]} has {told[0][1]}, release {number} has {shape}; "
                "join the rows of each apart"
            )


def _shape(values: pl.Series) -> str:
    if not isinstance(values.dtype, pl.List):
        return str(values.dtype)
    return f"{values.dtype} of length {', '.join(map(str, values.list.len().unique().sort().to_list()))}"


def _columns(snapshot: Tables, table: str) -> list[str]:
    return snapshot.read(table, where=pl.lit(False)).columns


def _end_of(ds: str) -> int:
    """Unix seconds of the midnight (UTC) that ends `ds`."""
    return int((datetime.fromisoformat(ds).replace(tzinfo=UTC) + timedelta(days=1)).timestamp())
