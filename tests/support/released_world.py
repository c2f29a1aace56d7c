"""A lake with releases: every table that is handed on, of a few readers and books, different in every night."""

from __future__ import annotations

import numpy as np
import polars as pl

from features.releases import Release, Releases, pinned
from features.store import DeltaStore
from schemas.tables import conform

READERS, BOOKS, DIM = 6, 8, 4
TEXT, VECTOR = "rlmrec.item/summarization", "rlmrec.item/summarization@tiny"
PARTS = ("train", "train", "train", "train", "valid", "test")


def release(store: DeltaStore, ds: str, seed: int) -> Release:
    """Publish a night and release it; `seed` decides texts, vectors and lists."""
    for name, rows in tables(seed).items():
        store.overwrite(name, conform(name, rows), ds)
    store.append("vectors", conform("vectors", vectors(seed)), ("encoder", "text_hash"))
    return Releases(store).add(ds, pinned(store, ds), reason=f"seed {seed}")


def tables(seed: int) -> dict[str, pl.DataFrame]:
    users, items = [f"r{n}" for n in range(READERS)], [f"b{n}" for n in range(BOOKS)]
    return {
        "users": pl.DataFrame({"id": users}),
        "items": pl.DataFrame({"id": items, "title": [f"The Voyage of Number {n}" for n in range(BOOKS)]}),
        "splits": _splits(users, items),
        "profiles": _profiles(users, items, seed),
        "embeddings": _embeddings(users, items, seed),
        "semantic_ids": _codes(items, seed),
        "recommendations": _lists(users, items, seed),
        "rejects": pl.DataFrame(schema=dict.fromkeys(("step", "key", "kind", "id", "reason", "detail"), pl.String)),
    }


def vector(seed: int, row: int) -> list[float]:
    """The unit vector of a row, as every table has it."""
    x = np.random.default_rng((seed, row)).standard_normal(DIM).astype(np.float32)
    return [float(value) for value in x / np.linalg.norm(x)]


def vectors(seed: int) -> pl.DataFrame:
    rows = [{"encoder": "tiny", "text_hash": f"{seed}-{n}", "vector": vector(seed, n)} for n in range(BOOKS)]
    return pl.DataFrame(rows, schema_overrides={"vector": pl.List(pl.Float32)})


def _splits(users: list[str], items: list[str]) -> pl.DataFrame:
    """Reader n has read six books from book n on, one a day."""
    rows = [
        {"user_id": user, "item_id": items[(n + day) % BOOKS], "time": 1_700_000_000 + 86_400 * day, "part": part}
        for n, user in enumerate(users)
        for day, part in enumerate(PARTS)
    ]
    frame = pl.DataFrame(rows).with_row_index("order").cast({"order": pl.Int64})
    return frame.with_columns(pl.lit(1.0).cast(pl.Float32).alias("weight"), pl.lit("s1").alias("split_id"))


def _profiles(users: list[str], items: list[str], seed: int) -> pl.DataFrame:
    about = [("user", id, "rlmrec.user") for id in users[1:]] + [("item", id, "rlmrec.item") for id in items]
    rows = [
        {"kind": kind, "id": id, "recipe": recipe, "field": "summarization", "text": f"{id} in words, seed {seed}"}
        for kind, id, recipe in about
    ]
    frame = pl.DataFrame(rows)
    return frame.with_columns(
        *(pl.lit(seed).cast(pl.String).alias(name) for name in ("text_hash", "key", "model")),
        pl.lit("s1").alias("split_id"),
    )


def _embeddings(users: list[str], items: list[str], seed: int) -> pl.DataFrame:
    ids = [("user", id, "rlmrec.user/summarization@tiny") for id in users] + [("item", id, VECTOR) for id in items]
    rows = [
        {"kind": kind, "id": id, "source": source, "text_hash": f"{seed}-{n}", "dim": DIM, "norm": 1.0}
        | {"vector": vector(seed, n)}
        for n, (kind, id, source) in enumerate(ids)
    ]
    return pl.DataFrame(rows, schema_overrides={"vector": pl.List(pl.Float32)})


def _codes(items: list[str], seed: int) -> pl.DataFrame:
    rows = [
        {
            "name": "codes",
            "id": id,
            "tokenizer": "lsh",
            "fit": str(seed),
            "codes": [n % 4, n // 4, seed],
            "sizes": [4, 2, 9],
        }
        for n, id in enumerate(items)
    ]
    return pl.DataFrame(rows, schema_overrides=dict.fromkeys(("codes", "sizes"), pl.List(pl.Int32)))


def _lists(users: list[str], items: list[str], seed: int) -> pl.DataFrame:
    """Reader n is offered the books that he has not read, in an order that the seed turns round."""
    rows = [
        {
            "model": "gf_cf",
            "user_id": user,
            "rank": rank,
            "item_id": items[(n + 6 + place) % BOOKS],
            "score": 1.0 / rank,
        }
        for n, user in enumerate(users)
        for rank, place in enumerate((0, 1) if seed % 2 else (1, 0), 1)
    ]
    return pl.DataFrame(rows)
