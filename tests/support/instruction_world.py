"""A small catalogue with users, ratings, texts, codes and vectors, and items that only the held-out parts know."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from features.corpus import Corpus, make_corpus
from features.instructions import INSTRUCTIONS, Builder, Sources
from features.instructions.titles import unique_titles

USERS, ITEMS, EVENTS = 8, 30, 7
FIRST = ("amber", "basil", "cedar", "delta", "ember")
SECOND = ("fjord", "grove", "haven", "ivory", "jade", "koala")
HELD_OUT = ("zzvalid", "zztest")  # words of titles that nobody has in train


def corpus(ratings: bool = False) -> Corpus:
    """Every user has seven items of train, then one of valid and one of test that are nobody else's but theirs."""
    titles = [f"{FIRST[n % 5]} {SECOND[n % 6]}" for n in range(ITEMS)] + list(HELD_OUT)
    items = pl.DataFrame(
        {
            "id": [f"i{n:02}" for n in range(ITEMS)] + ["iv", "it"],
            "title": titles,
            "category": [("red", "blue", "green")[n % 3] for n in range(ITEMS + 2)],
        }
    )
    users = pl.DataFrame({"id": [f"u{n}" for n in range(USERS)]})
    draw = np.random.default_rng(0)
    rows = []
    for user in range(USERS):
        for time, item in enumerate(draw.choice(ITEMS, EVENTS, replace=False)):
            rows.append((f"u{user}", f"i{item:02}", time, "train", float(1 + (user + time) % 5)))
        rows += [(f"u{user}", "iv", 50, "valid", 5.0), (f"u{user}", "it", 60, "test", 5.0)]
    names = ["user_id", "item_id", "time", "part", "rating"]
    splits = pl.DataFrame(rows, schema=names, orient="row").with_columns(
        pl.int_range(pl.len()).alias("order"), pl.lit(1.0, pl.Float32).alias("weight"), pl.lit("s").alias("split_id")
    )
    return make_corpus(users, items, splits if ratings else splits.drop("rating"))


def sources(ratings: bool = False, **given: object) -> Sources:
    """Everything that any builder reads."""
    made = corpus(ratings)
    draw, titles = np.random.default_rng(1), tuple(unique_titles(made.items))
    return replace(
        Sources(
            made,
            titles,
            noun="book",
            history=4,
            profile=tuple(f"reader of kind {n}" for n in range(USERS)),
            intention=tuple(f"a book like {title}, for quiet evenings" for title in titles),
            codes=tuple(f"<a_{n // 6}><b_{n % 6}>" for n in range(made.num_items)),
            vectors=draw.standard_normal((made.num_items, 5)).astype(np.float32),
        ),
        **given,  # type: ignore[arg-type]
    )


def built(name: str, read: Sources, examples: int = 0, seed: int = 1, **options: object) -> pl.DataFrame:
    """All rows of a builder, with the keys that it reads."""
    builder: type[Builder] = INSTRUCTIONS[name]
    unread = {"profile": (), "intention": (), "codes": (), "vectors": None}
    left_out = {key: value for key, value in unread.items() if key not in (*builder.needs, *builder.reads)}
    return pl.concat(builder(**options).build(replace(read, **left_out), examples, seed))
