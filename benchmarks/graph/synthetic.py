"""A bipartite graph of any size whose degrees fall by a power law, with the proportions of Gowalla."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from features.corpus import Part

EDGES, USERS, ITEMS = 810_128, 29_858, 40_981  # Gowalla's train part
USER_POWER, ITEM_POWER = 1.5, 1.7  # give Gowalla's largest degrees: about 800 of a user, 1,400 of an item
Int64 = NDArray[np.int64]


def power_law(edges: int, seed: int = 0) -> Part:
    """Exactly `edges` distinct pairs; users and items grow in proportion, and everybody has a pair.

    The expected degree of the r-th of n falls as r to the power 1 / p - 1. Which number is popular is random, as it is
    in real data, where rows that are read together do not lie together.
    """
    generator = np.random.default_rng(seed)
    users, items = max(2, round(edges * USERS / EDGES)), max(2, round(edges * ITEMS / EDGES))
    keys = _distinct(generator, users, items, edges)
    user, item = generator.permutation(users)[keys // items], generator.permutation(items)[keys % items]
    return part_of(users, items, np.stack([user, item]))


def part_of(users: int, items: int, edges: Int64) -> Part:
    """Pairs [2, E] in the order given, all of one weight."""
    size = edges.shape[1]
    return Part(users, items, edges, np.arange(size), np.ones(size, dtype=np.float32))


def _distinct(generator: np.random.Generator, users: int, items: int, edges: int) -> Int64:
    """[E] distinct pairs as user * items + item, ascending; drawn again as often as some fall together."""
    everybody = np.arange(users) * items + _drawn(generator, items, users, ITEM_POWER)
    everything = _drawn(generator, users, items, USER_POWER) * items + np.arange(items)
    keys = np.unique(np.concatenate([everybody, everything]))
    while missing := edges - len(keys):
        more = _drawn(generator, users, missing, USER_POWER) * items + _drawn(generator, items, missing, ITEM_POWER)
        keys = np.union1d(keys, more)
    return keys


def _drawn(generator: np.random.Generator, count: int, size: int, power: float) -> Int64:
    return np.asarray(count * generator.random(size) ** power, dtype=np.int64)
