"""Why an item was recommended to a user: its rank, the model, what that was trained on and had read of both."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from features.corpus import RESERVED
from pipelines.why.past import MODEL, Past, Row, Version
from pipelines.why.subject import titles_of
from pipelines.why.vector import COLUMNS, text_behind
from schemas.errors import DataError


def explain_recommendation(past: Past, user: str, item: str) -> Row:
    """One published recommendation. Raises DataError naming nearest users, or the items that the user was offered."""
    published = past.version("recommendations")
    rows = past.read(published, pl.col("user_id") == user)
    if not rows:
        near = past.nearest(published, "user_id", user)
        raise DataError(f"user {user}: not in table recommendations of {past.ds} (nearest: {near})")
    mine = next((row for row in rows if row["item_id"] == item), None)
    if mine is None:
        offered = ", ".join(row["item_id"] for row in sorted(rows, key=lambda row: row["rank"]))
        raise DataError(f"item {item}: not recommended to user {user} on {past.ds} (they were offered: {offered})")
    model = _model_of(past, published)
    return {
        **mine,
        "model": {"name": mine["model"], **_model(past, model)},
        "history": _history(past, published, user),
        "title": titles_of(past, past.source(published, "items"), [item]).get(item),
        "texts": {"item": _texts(past, model, "item", item), "user": _texts(past, model, "user", user)},
        "edges": _edges(past, model, user),
    }


def _model_of(past: Past, published: Version | None) -> Version | None:
    names = [source.table for source in published.made_from if source.table.startswith(MODEL)] if published else []
    return past.version(names[0]) if names else None


def _model(past: Past, model: Version | None) -> Row:
    """Seed, hash and split of the model, and its row of the table `models`; None is what was not stored."""
    if model is None:
        return {"seed": None, "config_hash": None, "split_id": None, "trained_at": None, "row": None}
    name, seed = model.table.removeprefix(MODEL).rsplit("/", 1)
    this = (pl.col("name") == name) & (pl.col("seed") == int(seed)) & (pl.col("config_hash") == model.config_hash)
    rows = past.read(past.version("models"), this)
    own = {"seed": int(seed), "config_hash": model.config_hash, "split_id": model.split_id}
    return {**own, "trained_at": model.written_at, "row": rows[0] if rows else None}


def _history(past: Past, published: Version | None, user: str) -> list[Row]:
    """The user's interactions that the lists could be made from, oldest first."""
    known = (pl.col("user_id") == user) & pl.col("part").is_in(["train", RESERVED])
    events = past.read(past.source(published, "splits"), known, ["item_id", "time", "order", "part"])
    titles = titles_of(past, past.source(published, "items"), [event["item_id"] for event in events])
    return [
        {"id": event["item_id"], "title": titles.get(event["item_id"]), "time": event["time"], "part": event["part"]}
        for event in sorted(events, key=lambda event: event["order"])
    ]


def _texts(past: Past, model: Version | None, kind: str, id: str) -> list[Row]:
    """What the model had read of a user or item, in the versions that it was trained on."""
    embeddings, parts = past.source(model, "embeddings"), _parts(model, "embeddings")
    names = [part.partition(":")[2] for part in parts if part.startswith(f"{kind}:")]
    mine = (pl.col("kind") == kind) & (pl.col("id") == id) & pl.col("source").is_in(names)
    rows = past.read(embeddings, mine, COLUMNS) if names else []
    return [{**row, **text_behind(past, embeddings, row)} for row in rows]


def _edges(past: Past, model: Version | None, user: str) -> list[Row]:
    """The edges of the user that the model had read."""
    recipes = list(_parts(model, "llm_edges"))
    mine = (pl.col("user_id") == user) & pl.col("recipe").is_in(recipes)
    return past.read(past.source(model, "llm_edges"), mine) if recipes else []


def _parts(model: Version | None, table: str) -> Sequence[str]:
    found = next((source for source in model.made_from if source.table == table), None) if model else None
    return (found.parts if found else None) or ()
