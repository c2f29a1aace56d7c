"""What a release says of each user and item, one named view per feature: what online stores and exports hand on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import polars as pl

from features.releases import Release
from schemas.errors import ConfigError, StoreError, unknown_name
from schemas.records import KINDS, Kind

Slice = tuple[Kind, str, pl.DataFrame]


class Released(Protocol):
    """One release: every read is of the versions that it pins."""

    @property
    def release(self) -> Release:
        """Which one."""
        ...

    def read(self, table: str, columns: Sequence[str] | None = None, where: pl.Expr | None = None) -> pl.DataFrame:
        """The night's rows of a table. Raises StoreError where the release has no such table."""
        ...

    def names(self) -> list[str]:
        """The tables of the release."""
        ...


@dataclass(frozen=True, slots=True)
class View:
    """One feature of users or items: columns `id` (unique) and `value` (text, or a list of floats, numbers or ids).

    `name`: `recipe/field` of a text, `recipe/field@encoder` of a vector, `recommendations` (item ids, the best first)
    and `recommendations/score`, `neighbours` likewise, `semantic_ids/NAME` of codes.
    """

    kind: Kind
    name: str
    table: str
    rows: pl.DataFrame


def views(release: Released, tables: Collection[str], sources: Collection[str] = ()) -> Iterator[View]:
    """The views of some tables, one after the other; those that the release lacks are passed over.

    `sources`: only these texts and vectors, by their names; empty: all. Raises ConfigError for a table that has no
    views, StoreError for a source that the release does not have.
    """
    for table in tables:
        if table not in MAKERS:
            raise ConfigError(unknown_name("tables", table, MAKERS))
    missing = set(sources)
    for table in tables:
        if table in release.names():
            for kind, name, rows in MAKERS[table](release, sources):
                missing.discard(name)
                yield View(kind, name, table, rows.select("id", "value"))
    if missing:
        number = release.release.number
        raise StoreError(
            f"release {number}: source {min(missing)}: no user or item has it; see `profiles`, `embeddings`"
        )


def _texts(release: Released, sources: Collection[str]) -> Iterator[Slice]:
    name = pl.concat_str("recipe", "field", separator="/")
    wanted = name.is_in(list(sources)) if sources else None
    rows = release.read("profiles", ["kind", "id", "recipe", "field", "text"], wanted)
    yield from _cut(rows.with_columns(name.alias("name"), pl.col("text").alias("value")))


def _vectors(release: Released, sources: Collection[str]) -> Iterator[Slice]:
    """One source at a time: all of them need not fit into memory together."""
    for kind, source in release.read("embeddings", ["kind", "source"]).unique().sort("kind", "source").iter_rows():
        if not sources or source in sources:
            mine = (pl.col("kind") == kind) & (pl.col("source") == source)
            yield kind, source, release.read("embeddings", ["id", "vector"], mine).rename({"vector": "value"})


def _codes(release: Released, _: Collection[str]) -> Iterator[Slice]:
    rows = release.read("semantic_ids", ["name", "id", "codes"]).rename({"codes": "value"})
    named = pl.concat_str(pl.lit("semantic_ids/"), "name").alias("name")
    yield from _cut(rows.with_columns(pl.lit("item").alias("kind"), named))


def _lists(table: str, kind: Kind, listed: str) -> Callable[[Released, Collection[str]], Iterator[Slice]]:
    def make(release: Released, _: Collection[str]) -> Iterator[Slice]:
        rows = release.read(table, [f"{kind}_id", "rank", listed, "score"]).sort("rank")
        lists = rows.group_by(pl.col(f"{kind}_id").alias("id"), maintain_order=True).agg(listed, "score")
        yield kind, table, lists.rename({listed: "value"})
        yield kind, f"{table}/score", lists.select("id", pl.col("score").cast(pl.List(pl.Float32)).alias("value"))

    return make


def _cut(rows: pl.DataFrame) -> Iterator[Slice]:
    """Rows with `kind` and `name`, apart by both."""
    for kind in KINDS:
        mine = rows.filter(pl.col("kind") == kind)
        for (name,), part in sorted(mine.group_by("name"), key=lambda pair: str(pair[0][0])):
            yield kind, str(name), part


MAKERS: Mapping[str, Callable[[Released, Collection[str]], Iterator[Slice]]] = {
    "profiles": _texts,
    "embeddings": _vectors,
    "semantic_ids": _codes,
    "recommendations": _lists("recommendations", "user", "item_id"),
    "neighbours": _lists("neighbours", "item", "neighbour_id"),
}
