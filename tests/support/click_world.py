"""Small worlds of ratings with a rule planted in them, split `oldest`."""

from __future__ import annotations

import numpy as np
import polars as pl

from features.corpus import Corpus, make_corpus
from features.splits import make_splits
from features.table import FeatureSet, FeatureTable
from schemas.sections import Split

SPLIT = Split(rule="oldest", history=4, valid=0.2, test=0.2)
LIKED, DISLIKED = 5.0, 1.0


def corpus_of(rows: list[tuple[str, str, float | None, int]], items: pl.DataFrame, split: Split = SPLIT) -> Corpus:
    """A corpus of (user, item, rating, time); `items` has `id` and text columns."""
    schema = {"user_id": pl.String, "item_id": pl.String, "rating": pl.Float32, "timestamp": pl.Int64}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    users = frame.select(id=pl.col("user_id")).unique("id").sort("id")
    return make_corpus(users, items, make_splits(frame, split))


def told_by_text(users: int = 200, items: int = 3000, each: int = 24, dim: int = 6) -> tuple[Corpus, FeatureSet]:
    """A user likes an item if the first entries of their texts have one sign; items are too rare for ids to tell."""
    rng = np.random.default_rng(0)
    taste, kind = rng.choice([-1.0, 1.0], users), rng.choice([-1.0, 1.0], items)
    rows = []
    for user in range(users):
        for time, item in enumerate(rng.choice(items, each, replace=False)):
            liked = taste[user] * kind[item] > 0
            rows.append((f"u{user:03}", f"i{item:04}", LIKED if liked else DISLIKED, time))
    catalogue = pl.DataFrame({"id": [f"i{item:04}" for item in range(items)]})
    texts = {}
    for name, signs in (("user", taste), ("item", kind)):
        x = 0.3 * rng.normal(size=(len(signs), dim)).astype(np.float32)
        x[:, 0] = signs
        texts[name] = FeatureTable(name, x, np.ones(len(signs), dtype=bool), f"made.{name}")
    return corpus_of(rows, catalogue), FeatureSet(texts["item"], texts["user"])


def told_by_target(users: int = 300, each: int = 20) -> Corpus:
    """A user likes a candidate exactly if he liked the last event of its kind.

    The kinds come in turns, so that any four events in a row have one of each; every user likes two of the four. The
    mean of his history is therefore the same whatever he likes: which rating goes with which kind is lost in it.
    """
    rng = np.random.default_rng(1)
    rows = []
    for user in range(users):
        liked, items = rng.permutation([True, True, False, False]), rng.permuted(np.arange(20).reshape(4, 5), axis=1)
        for time in range(each):
            kind, turn = time % 4, time // 4
            rating = LIKED if liked[kind] else DISLIKED
            rows.append((f"u{user:03}", f"i{items[kind, turn]:02}", rating, time))
    catalogue = pl.DataFrame({"id": [f"i{item:02}" for item in range(20)], "kind": [f"k{n // 5}" for n in range(20)]})
    return corpus_of(rows, catalogue)
