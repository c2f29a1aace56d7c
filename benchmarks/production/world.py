"""A synthetic shop: titles and categories made from words, readers who keep to three categories, popularity by rank.

`python -m benchmarks.production.world FOLDER USERS ITEMS` writes it, so that a measuring process stays small.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

DRAWN = 23.5  # events of a user on average; those that are drawn twice count once, which leaves about 20
CATEGORIES, PREFERRED = 40, 3
PREFERENCE = 0.85  # share of a reader's events in his own categories
POWER = 0.8  # the item of rank r is chosen in proportion to r to the power -0.8
FIRST_EVENT, SPAN = 1_640_995_200, 4 * 365 * 86_400  # 2022-01-01 and four years, in seconds

ADJECTIVES = (
    "Quiet",
    "Broken",
    "Golden",
    "Hidden",
    "Distant",
    "Frozen",
    "Wandering",
    "Last",
    "Crimson",
    "Silent",
    "Restless",
    "Hollow",
)
NOUNS = (
    "Garden",
    "Harbour",
    "Compass",
    "Lantern",
    "Orchard",
    "Violin",
    "Atlas",
    "Cathedral",
    "Letter",
    "Bridge",
    "Winter",
    "Museum",
)
PLACES = (
    "Lisbon",
    "Bergen",
    "Kyoto",
    "Tangier",
    "Prague",
    "Valparaiso",
    "Galway",
    "Trieste",
    "Odessa",
    "Cadiz",
    "Tallinn",
    "Ghent",
)
TOPICS = (
    "history",
    "cookery",
    "sailing",
    "gardens",
    "crime",
    "romance",
    "chess",
    "music",
    "travel",
    "physics",
    "poetry",
    "painting",
)
Int64 = NDArray[np.int64]


def write_world(folder: Path, users: int, items: int, seed: int = 0) -> int:
    """Write `items.parquet` and `interactions.parquet`; returns the number of interactions, about 20 per user.

    Every pair is there once. The same arguments write the same files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    catalogue(items).write_parquet(folder / "items.parquet")
    user, item = pairs(generator, users, items)
    time = FIRST_EVENT + np.sort(generator.integers(SPAN, size=len(user)))
    order = generator.permutation(len(user))
    frame = {
        "user_id": np.char.mod("u%07d", user[order]),
        "item_id": np.char.mod("i%06d", item[order]),
        "timestamp": time,
    }
    pl.DataFrame(frame).write_parquet(folder / "interactions.parquet")
    return len(user)


def catalogue(items: int) -> pl.DataFrame:
    """id, title and category; a title stands for one item."""
    number = np.arange(items)
    adjective, noun, place = (np.array(words) for words in (ADJECTIVES, NOUNS, PLACES))
    volume = 1 + number // 12**3
    names = zip(adjective[number % 12], noun[number // 12 % 12], place[number // 144 % 12], volume, strict=True)
    return pl.DataFrame(
        {
            "id": np.char.mod("i%06d", number),
            "title": [f"The {one} {two} of {where}, volume {part}" for one, two, where, part in names],
            "category": [f"{TOPICS[each % 12]}, shelf {each // 12}" for each in (number % CATEGORIES).tolist()],
        }
    )


def pairs(generator: np.random.Generator, users: int, items: int) -> tuple[Int64, Int64]:
    """Distinct users and items [E], sorted by user; a user's own categories are three of forty."""
    wanted = np.maximum(5, generator.lognormal(np.log(DRAWN) - 0.18, 0.6, users)).astype(np.int64)
    user = np.repeat(np.arange(users), wanted)
    own = generator.integers(CATEGORIES, size=(users, PREFERRED))
    category = own[user, generator.integers(PREFERRED, size=len(user))]
    anywhere = generator.random(len(user)) > PREFERENCE
    category[anywhere] = generator.integers(CATEGORIES, size=int(anywhere.sum()))
    shelf = items // CATEGORIES  # items of a category; those that are left over at the end are never chosen
    rank = (shelf * generator.random(len(user)) ** (1 / (1 - POWER))).astype(np.int64)
    keys = np.unique(user * items + rank * CATEGORIES + category)
    return keys // items, keys % items


if __name__ == "__main__":
    sys.stdout.write(f"{write_world(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))}\n")
