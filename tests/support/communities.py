"""Two communities that share no item: what a user is missing is the one item of his community that was held out.

Every user walks down the circle of his community's items, from a place of his own; the last one is test, the one before
valid: whoever looks at the order alone knows what comes next, too.
"""

import numpy as np
import polars as pl

from features.codes import ItemCodes
from features.corpus import Corpus, make_corpus
from features.table import EdgeTable, FeatureSet, FeatureTable

USERS, ITEMS = 20, 10  # of each community


def two_communities() -> Corpus:
    """Every user has all items of his community: one of them is test, one valid, the others train."""
    rows = []
    for user in range(2 * USERS):
        community = user // USERS
        for step in range(ITEMS):
            item = (user - 1 - step) % ITEMS
            part = {user % ITEMS: "test", (user + 1) % ITEMS: "valid"}.get(item, "train")
            rows.append((f"u{user:02}", f"i{community * ITEMS + item:02}", part))
    splits = pl.DataFrame(rows, schema=["user_id", "item_id", "part"], orient="row").with_columns(
        time=pl.lit(None, pl.Int64),
        order=pl.int_range(pl.len()),
        weight=pl.lit(1.0, pl.Float32),
        split_id=pl.lit("two"),
    )
    users = pl.DataFrame({"id": [f"u{user:02}" for user in range(2 * USERS)] + ["u99"]})  # u99 has no interaction
    titles = [f"{('Ocean voyage', 'Desert caravan')[item // ITEMS]} {item % ITEMS}" for item in range(2 * ITEMS)]
    ids = [f"i{item:02}" for item in range(2 * ITEMS)]
    items = pl.DataFrame({"id": [*ids, "i99"], "title": [*titles, "Unheard of"]})  # i99 has no interaction either
    return make_corpus(users, items, splits)


def community_text(dim: int = 12) -> FeatureSet:
    """A direction for each community and a little noise, and proposed edges; the last user and item have neither.

    The codes of an item are its community and its number in it; the last item is a community of its own.
    """
    rng = np.random.default_rng(0)
    centre = rng.normal(size=(2, dim))
    tables = {}
    for kind, size in (("user", USERS), ("item", ITEMS)):
        x = np.repeat(centre, size, axis=0) + 0.3 * rng.normal(size=(2 * size, dim))
        x = np.vstack([x / np.linalg.norm(x, axis=1, keepdims=True), np.zeros(dim)]).astype(np.float32)
        tables[kind] = FeatureTable(kind, x, np.arange(2 * size + 1) < 2 * size, f"made.{kind}")
    edges = {recipe: community_edges(recipe) for recipe in ("llmrec.edges", "once.generate")}
    return FeatureSet(tables["item"], tables["user"], edges, codes=community_codes())


def community_codes() -> ItemCodes:
    codes = np.column_stack([np.arange(2 * ITEMS + 1) // ITEMS, np.arange(2 * ITEMS + 1) % ITEMS])
    return ItemCodes(codes.astype(np.int32), (3, ITEMS), "made")


def community_edges(source: str) -> EdgeTable:
    """Every user likes an item of his community that he has in train, and dislikes one of the other."""
    user = np.arange(2 * USERS)
    community = user // USERS
    liked, disliked = community * ITEMS + (user + 2) % ITEMS, (1 - community) * ITEMS + user % ITEMS
    label = np.repeat(np.array([1, -1], dtype=np.int8), len(user))
    weight = np.repeat(np.array([1.0, 0.8], dtype=np.float32), len(user))
    return EdgeTable(np.tile(user, 2), np.concatenate([liked, disliked]), label, weight, source)
