"""Why a vector is what it is: the text behind it, by its hash, and the call that the text came from."""

from __future__ import annotations

import polars as pl

from pipelines.why.past import Past, Row, Version
from pipelines.why.subject import explain_recipes
from schemas.errors import DataError
from schemas.records import Kind, sha256

COLUMNS = ["kind", "id", "source", "text_hash", "dim", "norm"]


def explain_vectors(past: Past, id: str, kind: Kind | None, source: str | None) -> Row:
    """The vectors of a user or item, of one source (with or without its encoder) or of all.

    Raises DataError naming the nearest ids, or the sources that there are.
    """
    embeddings = past.version("embeddings")
    mine = pl.col("id") == id
    rows = past.read(embeddings, mine if kind is None else mine & (pl.col("kind") == kind), COLUMNS)
    if not rows:
        near = past.nearest(embeddings, "id", id)
        raise DataError(f"vector {id}: not in table embeddings of {past.ds} (nearest: {near})")
    chosen = [row for row in rows if source in (None, row["source"], row["source"].partition("@")[0])]
    if not chosen:
        known = ", ".join(row["source"] for row in rows)
        raise DataError(f"vector {id}: no source {source} in table embeddings of {past.ds} (known: {known})")
    return {"vectors": [_account(past, embeddings, row) for row in chosen]}


def text_behind(past: Past, embeddings: Version | None, row: Row) -> Row:
    """The text of an embeddings row and the call that it came from; text None where the tables no longer tell it."""
    name = row["source"].partition("@")[0]
    text, key = _profile(past, embeddings, row, name) if "/" in name else (_columns(past, embeddings, row, name), None)
    known = text is not None and sha256(text.strip()) == row["text_hash"]
    return {"text": text.strip() if text and known else None, "key": key if known else None}


def _account(past: Past, embeddings: Version | None, row: Row) -> Row:
    behind = text_behind(past, embeddings, row)
    recipes = explain_recipes(past, row["kind"], row["id"], [behind["key"]]) if behind["key"] else []
    published = embeddings.written_at if embeddings else None
    encoder = row["source"].partition("@")[2]
    past.source(embeddings, "vectors")  # named among the tables: the numbers come from there
    return {**row, "encoder": encoder, "published_at": published, **behind, "recipes": recipes}


def _profile(past: Past, embeddings: Version | None, row: Row, name: str) -> tuple[str | None, str | None]:
    recipe, field = name.split("/", 1)
    me = (pl.col("kind") == row["kind"]) & (pl.col("id") == row["id"])
    mine = me & (pl.col("recipe") == recipe) & (pl.col("field") == field)
    found = past.read(past.source(embeddings, "profiles"), mine, ["text", "key"])
    return (found[0]["text"], found[0]["key"]) if found else (None, None)


def _columns(past: Past, embeddings: Version | None, row: Row, name: str) -> str | None:
    """Columns of a table, joined as `encode` joins them; whoever asks compares the hash."""
    found = past.read(past.source(embeddings, f"{row['kind']}s"), pl.col("id") == row["id"])
    values = [found[0].get(column) for column in name.split("+")] if found else []
    return ". ".join(str(value) for value in values if value is not None) if found else None
