"""One user as the page shows him: found by id or by what his profile says, with his history and his published list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
from rapidfuzz import process

from pipelines.ui.shelf import Shelf
from schemas.errors import DataError

Row = dict[str, Any]
FOUND = 30  # users that a search shows
SUGGESTED = 8
TITLES = ("title", "name")


def search_users(shelf: Shelf, ds: str, query: str) -> list[Row]:
    """Users whose id or profile has the words in it, those with such an id first; some where nothing is searched."""
    ids = shelf.frame("users", ds).select("id")
    wanted = query.strip()
    if not wanted:
        return _with_texts(shelf, ds, ids.head(SUGGESTED)["id"].to_list())
    by_id = ids.filter(_has("id", wanted)).head(FOUND)["id"].to_list()
    by_text = _profiles(shelf, ds).filter(_has("text", wanted)).unique("id", maintain_order=True).head(FOUND)
    return _with_texts(shelf, ds, list(dict.fromkeys([*by_id, *by_text["id"].to_list()]))[:FOUND], by_text)


def check_user(shelf: Shelf, ds: str, id: str) -> None:
    """Raise DataError naming the nearest ids where a night has no such user."""
    ids = shelf.frame("users", ds)["id"]
    if id not in ids:
        near = ", ".join(str(name) for name, *_ in process.extract(id, ids.to_list(), limit=3)) or "none"
        raise DataError(f"user {id}: not in table users of {ds} (nearest: {near})")


def history_of(shelf: Shelf, ds: str, id: str) -> list[Row]:
    """The user's interactions, the latest first: item, title, unix seconds, part of the split."""
    if not shelf.has("splits", ds):
        return []
    mine = shelf.store.read("splits", ds, where=pl.col("user_id") == id, columns=["item_id", "time", "order", "part"])
    rows = mine.sort("order", descending=True).to_dicts()
    titles = titles_of(shelf, ds, [row["item_id"] for row in rows])
    return [{**row, "title": titles.get(row["item_id"])} for row in rows]


def published_of(shelf: Shelf, ds: str, id: str, k: int) -> list[Row]:
    """The first k of the user's published list: rank, id, title, score, model."""
    if not shelf.has("recommendations", ds):
        return []
    mine = (pl.col("user_id") == id) & (pl.col("rank") <= k)
    rows = shelf.store.read("recommendations", ds, where=mine).sort("rank").to_dicts()
    titles = titles_of(shelf, ds, [row["item_id"] for row in rows])
    return [{**row, "id": row["item_id"], "title": titles.get(row["item_id"])} for row in rows]


def texts_of(shelf: Shelf, ds: str, id: str) -> list[Row]:
    """What the recipes' answers say of the user: recipe, field, text."""
    if not shelf.has("profiles", ds):
        return []
    mine = (pl.col("kind") == "user") & (pl.col("id") == id)
    return shelf.store.read("profiles", ds, where=mine).select("recipe", "field", "text").to_dicts()


def titles_of(shelf: Shelf, ds: str, ids: Sequence[str]) -> Mapping[str, str | None]:
    """What items are called; those without a title are absent."""
    items = shelf.frame("items", ds)
    column = next((name for name in TITLES if name in items.columns), None)
    if column is None:
        return {}
    return dict(items.filter(pl.col("id").is_in(list(ids))).select("id", column).iter_rows())


def _profiles(shelf: Shelf, ds: str) -> pl.DataFrame:
    return shelf.frame("profiles", ds).filter(pl.col("kind") == "user").select("id", "text")


def _with_texts(shelf: Shelf, ds: str, ids: Sequence[str], texts: pl.DataFrame | None = None) -> list[Row]:
    """Ids with the text that was found, else their first one."""
    first = _profiles(shelf, ds).filter(pl.col("id").is_in(list(ids))).unique("id", keep="first", maintain_order=True)
    told = dict(first.iter_rows()) | (dict(texts.iter_rows()) if texts is not None else {})
    return [{"id": id, "text": told.get(id)} for id in ids]


def _has(column: str, words: str) -> pl.Expr:
    return pl.col(column).str.to_lowercase().str.contains(words.lower(), literal=True)
