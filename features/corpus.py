"""The corpus: users, items and interactions on one index, cut into parts under an immutable split id."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from schemas.errors import DataError
from schemas.records import Event, Kind, Subject

Int64 = NDArray[np.int64]
PARTS = ("train", "valid", "test")
RESERVED = "reserved"  # rows that are neither learned from, nor shown to anybody, nor judged


@dataclass(frozen=True)
class Part:
    """The interactions of one part, in time order. Rows index `Corpus.users` and `Corpus.items`."""

    num_users: int
    num_items: int
    edges: Int64  # [2, E]: user row, item row
    time: Int64  # [E] unix seconds, or the given order where the source has no times
    weight: NDArray[np.float32]  # [E]
    review: tuple[str | None, ...] | None = None  # [E]
    rating: NDArray[np.float32] | None = None  # [E] in the source's own scale, NaN where there is none

    def __len__(self) -> int:
        return int(self.edges.shape[1])

    @cached_property
    def by_user(self) -> csr_matrix:
        """Which items a user has: bool [U, I], item rows sorted within a user, duplicates merged."""
        matrix = csr_matrix(
            (np.ones(len(self), dtype=bool), (self.edges[0], self.edges[1])), shape=(self.num_users, self.num_items)
        )
        matrix.sum_duplicates()
        return matrix

    @cached_property
    def item_degree(self) -> Int64:
        """[I] interactions per item."""
        return np.bincount(self.edges[1], minlength=self.num_items).astype(np.int64)

    @cached_property
    def user_degree(self) -> Int64:
        """[U] interactions per user."""
        return np.bincount(self.edges[0], minlength=self.num_users).astype(np.int64)


@dataclass(frozen=True)
class Train(Part):
    """The train part, and the only maker of `Subject`: a held-out row cannot reach a prompt."""

    user_table: pl.DataFrame | None = None
    item_table: pl.DataFrame | None = None
    timed: bool = False  # whether `time` is unix seconds

    def subjects(self, kind: Kind, profiles: Mapping[str, str] | None = None) -> Iterator[Subject]:
        """Every user or item, in index order, with its train history (oldest first) and reviews.

        `profiles` holds upstream texts by the id of the other side; a subject carries those of its history.
        """
        own, other = (
            (self._table("user"), self._table("item")) if kind == "user" else (self._table("item"), self._table("user"))
        )
        own_texts, other_texts = attributes(own), attributes(other)
        own_ids, other_ids = own["id"].to_list(), other["id"].to_list()
        mine, theirs = (self.edges[0], self.edges[1]) if kind == "user" else (self.edges[1], self.edges[0])
        order = np.lexsort((theirs, self.time, mine))
        bounds = np.searchsorted(mine[order], np.arange(len(own_ids) + 1))
        for row, id in enumerate(own_ids):
            rows = order[bounds[row] : bounds[row + 1]].tolist()
            history = tuple(self._event(edge, int(theirs[edge]), other_ids, other_texts) for edge in rows)
            known = {e.id: profiles[e.id] for e in history if e.id in profiles} if profiles else {}
            reviews = tuple(e.review for e in history if e.review)
            yield Subject(kind, id, own_texts[row], history, reviews, profiles=known)

    def _event(self, edge: int, other: int, ids: list[str], texts: list[dict[str, str]]) -> Event:
        time = int(self.time[edge]) if self.timed else None
        review = self.review[edge] if self.review else None
        rating = None if self.rating is None or np.isnan(self.rating[edge]) else float(self.rating[edge])
        return Event(ids[other], texts[other], time, float(self.weight[edge]), review, rating)

    def _table(self, kind: Kind) -> pl.DataFrame:
        table = self.user_table if kind == "user" else self.item_table
        assert table is not None, "a train part is made by Corpus.train, which hands both tables in"
        return table


@dataclass(frozen=True)
class Corpus:
    """Users, items and interactions. `users` and `items` are sorted by `id`; the row number is the index."""

    users: pl.DataFrame  # id, text columns
    items: pl.DataFrame  # id, text columns
    edges: Int64  # [2, E]
    time: Int64  # [E]
    weight: NDArray[np.float32]  # [E]
    part: NDArray[np.int8]  # [E] index into PARTS and RESERVED after them
    split_id: str
    timed: bool = False
    review: tuple[str | None, ...] | None = None  # [E]
    rating: NDArray[np.float32] | None = None  # [E]

    @property
    def num_users(self) -> int:
        return self.users.height

    @property
    def num_items(self) -> int:
        return self.items.height

    @cached_property
    def train(self) -> Train:
        return Train(**self._fields(0), user_table=self.users, item_table=self.items, timed=self.timed)

    @cached_property
    def valid(self) -> Part:
        return Part(**self._fields(1))

    @cached_property
    def test(self) -> Part:
        return Part(**self._fields(2))

    @cached_property
    def reserved(self) -> Part:
        """What no model learns from: events of held-out users and items, and those that click models keep for later."""
        return Part(**self._fields(3))

    @cached_property
    def support(self) -> Part:
        """The reserved events of users without any train interaction: what is known of them when they are served."""
        return Part(**self._rows(np.flatnonzero((self.part == 3) & (self.train.user_degree[self.edges[0]] == 0))))

    @cached_property
    def served(self) -> Part:
        """What is known of every user when he is served: train, and the support of users who have none."""
        alone = (self.part == 3) & (self.train.user_degree[self.edges[0]] == 0)
        return Part(**self._rows(np.flatnonzero((self.part == 0) | alone)))

    @cached_property
    def joined(self) -> Corpus:
        """The same with valid as part of train and nothing in valid: what a chosen model may learn from before test."""
        return replace(
            self, part=np.where(self.part == 1, 0, self.part).astype(np.int8), split_id=f"{self.split_id}+valid"
        )

    def ids(self, kind: Kind) -> pl.Series:
        """The ids of a kind in index order."""
        return (self.users if kind == "user" else self.items)["id"]

    def _fields(self, part: int) -> dict[str, Any]:
        return self._rows(np.flatnonzero(self.part == part))

    def _rows(self, rows: Int64) -> dict[str, Any]:
        """The arguments of a Part."""
        return {
            "num_users": self.num_users,
            "num_items": self.num_items,
            "edges": self.edges[:, rows],
            "time": self.time[rows],
            "weight": self.weight[rows],
            "review": tuple(self.review[row] for row in rows) if self.review else None,
            "rating": None if self.rating is None else self.rating[rows],
        }


def make_corpus(users: pl.DataFrame, items: pl.DataFrame, splits: pl.DataFrame) -> Corpus:
    """Index the tables of a night.

    `users`, `items`: `id` and text columns. `splits`: user_id, item_id, time (int64 or all null), order (int64),
    weight (float32), part (train, valid, test, reserved), split_id, optional review and rating. Raises DataError on an
    id that is in `splits` but in neither table, on duplicate ids, and on more than one split id.
    """
    users, items = _sorted(users, "users"), _sorted(items, "items")
    splits = splits.sort("order", maintain_order=True)
    split_ids = splits["split_id"].unique().to_list()
    if len(split_ids) != 1:
        raise DataError(f"splits: expected one split id, found {len(split_ids)}: {split_ids[:3]}")
    timed = splits["time"].null_count() == 0
    codes = {name: code for code, name in enumerate((*PARTS, RESERVED))}
    edges = np.stack([_rows(splits["user_id"], users["id"], "user"), _rows(splits["item_id"], items["id"], "item")])
    return Corpus(
        users=users,
        items=items,
        edges=edges,
        time=(splits["time"] if timed else splits["order"]).cast(pl.Int64).to_numpy(),
        weight=splits["weight"].cast(pl.Float32).to_numpy(),
        part=splits["part"].replace_strict(codes, return_dtype=pl.Int8).to_numpy(),
        split_id=str(split_ids[0]),
        timed=timed,
        review=tuple(splits["review"].to_list()) if "review" in splits.columns else None,
        rating=_ratings(splits) if "rating" in splits.columns else None,
    )


def attributes(table: pl.DataFrame) -> list[dict[str, str]]:
    """The non-empty text columns of every row; other types are written as text, lists joined with '; '."""
    columns = [_as_text(table[name]) for name in table.columns if name not in ("id", "ds")]
    names = [column.name for column in columns]
    rows = zip(*(column.to_list() for column in columns), strict=True) if columns else ([()] * table.height)
    return [{name: value for name, value in zip(names, row, strict=True) if value} for row in rows]


def _ratings(splits: pl.DataFrame) -> NDArray[np.float32]:
    return splits["rating"].cast(pl.Float32).fill_null(float("nan")).to_numpy()


def _as_text(column: pl.Series) -> pl.Series:
    if isinstance(column.dtype, pl.List):
        column = column.list.eval(pl.element().cast(pl.String)).list.join("; ")
    return column.cast(pl.String).str.strip_chars()


def _sorted(table: pl.DataFrame, name: str) -> pl.DataFrame:
    if table["id"].null_count():
        raise DataError(f"{name}: id: expected a value in every row, found {table['id'].null_count()} empty")
    duplicate = table.filter(pl.col("id").is_duplicated())
    if duplicate.height:
        raise DataError(f"{name}: id: expected unique ids, found {duplicate['id'][0]!r} more than once")
    return table.drop("ds", strict=False).sort("id")


def _rows(ids: pl.Series, index: pl.Series, kind: Kind) -> Int64:
    """Row number of every id; the two series are joined by value, never by position."""
    rows = pl.DataFrame({"id": ids}).join(
        pl.DataFrame({"id": index}).with_row_index("row"), on="id", how="left", maintain_order="left"
    )
    if rows["row"].null_count():
        unknown = rows.filter(pl.col("row").is_null())["id"][0]
        raise DataError(f"splits: {kind}_id {unknown!r}: not in the {kind}s table")
    return rows["row"].cast(pl.Int64).to_numpy()
