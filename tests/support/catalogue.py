"""A catalogue for tokenizers: three kinds of items with texts that are alike, read by three kinds of users."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from features.corpus import Part
from features.tokenizers import TokenInputs

ITEMS, KINDS, WIDTH, DIM = 60, 3, 12, 8
OPTIONS = {  # small enough for the catalogue; what is not named has its own defaults
    "rq_kmeans": {"levels": 2, "size": 4},
    "rq_vae": {"levels": 2, "size": 4, "dim": DIM, "hidden": [16], "epochs": 20, "batch_size": 32},
    "letter": {"levels": 3, "size": 8, "dim": DIM, "hidden": [16], "epochs": 10, "batch_size": 32, "clusters": 2},
    "pq": {"levels": 3, "size": 4},
    "lsh": {"levels": 2, "bits": 3},
    "random": {"levels": 2, "size": 4},
    "p5_title": {"words": 3},
    "p5_sequential": {"size": 10},
    "p5_collaborative": {"clusters": 3, "largest": 5},
    "p5_hybrid": {"clusters": 3, "largest": 5},
}


def catalogue(items: int = ITEMS, seed: int = 0) -> TokenInputs:
    """Item n is of kind n mod 3; every tenth has no vector; the last two are in nobody's train history."""
    generator = np.random.default_rng(seed)
    kind = np.arange(items) % KINDS
    x = (np.eye(KINDS, WIDTH)[kind] + 0.3 * generator.standard_normal((items, WIDTH))).astype(np.float32)
    present = np.arange(items) % 10 != 9
    table = pl.DataFrame(
        {
            "id": [f"i{n:03}" for n in range(items)],
            "title": [f"{('Red', 'Blue', 'Green')[n % 3]} book, part {n // 6}" for n in range(items)],
            "categories": [["books", f"kind {n % 3}", f"shelf {n % 9}"][: 1 + n % 3] for n in range(items)],
        }
    )
    collaborative = np.eye(KINDS, DIM, dtype=np.float32)[kind]
    return TokenInputs(table, x * present[:, None], present, readers(items, generator), collaborative)


def readers(items: int, generator: np.random.Generator, users: int = 90, events: int = 6) -> Part:
    """Every user has six items of his kind."""
    user = np.repeat(np.arange(users), events)
    item = np.concatenate(
        [generator.choice(np.arange(u % KINDS, items - 2, KINDS), events, replace=False) for u in range(users)]
    )
    weight = np.ones(len(user), dtype=np.float32)
    return Part(users, items, np.stack([user, item]), np.tile(np.arange(events), users), weight)


def reordered(inputs: TokenInputs, order: np.ndarray) -> TokenInputs:
    """The same catalogue with its rows in another order."""
    place = np.argsort(order)
    assert inputs.train is not None
    assert inputs.collaborative is not None
    edges = np.stack([inputs.train.edges[0], place[inputs.train.edges[1]]])
    train = replace(inputs.train, edges=edges)
    moved = (inputs.items[order.tolist()], inputs.x[order], inputs.present[order])
    return TokenInputs(*moved, train, inputs.collaborative[order])


def first(inputs: TokenInputs, count: int) -> TokenInputs:
    """The catalogue before the items after the first `count` came."""
    assert inputs.train is not None
    assert inputs.collaborative is not None
    kept = inputs.train.edges[1] < count
    train = replace(
        inputs.train,
        num_items=count,
        edges=inputs.train.edges[:, kept],
        time=inputs.train.time[kept],
        weight=inputs.train.weight[kept],
    )
    before = (inputs.items[:count], inputs.x[:count], inputs.present[:count])
    return TokenInputs(*before, train, inputs.collaborative[:count])
