"""Faults to plant in front of the gates: 70 kinds over the tables of a night with texts, each in four severities.

Kinds and severities were chosen before any result was known: of what a table has some of anyway (lost rows, blanks,
drift) 20, 40, 60 or 90 %; of what it must never have one row, or 1, 10 or 50 % of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from schemas.records import sha256

Plant = Callable[[pl.DataFrame, float, np.random.Generator], pl.DataFrame]
SOME, NEVER = (0.2, 0.4, 0.6, 0.9), (0.0, 0.01, 0.1, 0.5)  # 0.0: one row


@dataclass(frozen=True)
class Fault:
    """A fault in a table's rows."""

    table: str
    kind: str
    severity: float
    seed: int

    def plant(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The frame with the fault."""
        return KINDS[self.table, self.kind][0](frame, self.severity, np.random.default_rng(self.seed))


def faults(count: int, seed: int = 0) -> Iterator[Fault]:
    """Every kind in turn, with a severity by chance."""
    generator, kinds = np.random.default_rng(seed), list(KINDS.items())
    for number in range(count):
        (table, kind), (_, severities) = kinds[number % len(kinds)]
        yield Fault(table, kind, float(generator.choice(severities)), int(generator.integers(2**31)))


def _rows(frame: pl.DataFrame, share: float, generator: np.random.Generator) -> pl.Expr:
    """Some rows, at least one."""
    count = max(1, round(share * frame.height))
    return pl.int_range(pl.len()).is_in(generator.choice(frame.height, count, replace=False).tolist())


def set_to(column: str, value: object) -> Plant:
    """Give some rows another value."""
    new = value if isinstance(value, pl.Expr) else pl.lit(value)

    def plant(frame: pl.DataFrame, share: float, generator: np.random.Generator) -> pl.DataFrame:
        chosen = pl.when(_rows(frame, share, generator)).then(new.cast(frame.schema[column]))
        return frame.with_columns(chosen.otherwise(pl.col(column)).alias(column))

    return plant


def drop(frame: pl.DataFrame, share: float, generator: np.random.Generator) -> pl.DataFrame:
    return frame.filter(~_rows(frame, share, generator))


def twice(frame: pl.DataFrame, share: float, generator: np.random.Generator) -> pl.DataFrame:
    return pl.concat([frame, frame.filter(_rows(frame, share, generator))])


def drop_of(column: str) -> Plant:
    """Lose all rows of some values of a column."""

    def plant(frame: pl.DataFrame, share: float, generator: np.random.Generator) -> pl.DataFrame:
        values = frame[column].unique().sort()
        gone = generator.choice(len(values), max(1, round(share * len(values))), replace=False)
        return frame.filter(~pl.col(column).is_in(values.gather(gone).implode()))

    return plant


def shuffle(*columns: str) -> Plant:
    """Put the values of some rows into others of them."""

    def plant(frame: pl.DataFrame, share: float, generator: np.random.Generator) -> pl.DataFrame:
        rows = frame.with_row_index("row").filter(_rows(frame, share, generator))["row"].to_numpy()
        order = np.arange(frame.height)
        order[rows] = np.roll(rows, 1)
        return frame.with_columns(frame[name].gather(order) for name in columns)

    return plant


def vectors(change: Callable[[np.ndarray, np.random.Generator], list[float]]) -> Plant:
    """Change the vectors of some rows."""

    def plant(frame: pl.DataFrame, share: float, generator: np.random.Generator) -> pl.DataFrame:
        rows = set(frame.with_row_index("row").filter(_rows(frame, share, generator))["row"].to_list())
        new = [
            change(each.to_numpy(), generator) if row in rows else each.to_list()
            for row, each in enumerate(frame["vector"])
        ]
        return frame.with_columns(pl.Series("vector", new, dtype=pl.List(pl.Float32)))

    return plant


def copied_vectors(frame: pl.DataFrame, share: float, generator: np.random.Generator) -> pl.DataFrame:
    return set_to("vector", pl.col("vector").first())(frame, share, generator)


def drifted(frame: pl.DataFrame, strength: float, generator: np.random.Generator) -> pl.DataFrame:
    """All texts and vectors are others, each moved the same way."""
    table = np.stack([each.to_numpy() for each in frame["vector"]])
    away = generator.normal(size=table.shape[1])
    moved = table + strength * away / np.linalg.norm(away)
    moved /= np.linalg.norm(moved, axis=1, keepdims=True)
    hashes = [sha256(f"{each} again") for each in frame["text_hash"]]
    new = pl.Series("vector", moved.astype(np.float32).tolist(), dtype=pl.List(pl.Float32))
    return frame.with_columns(new, pl.Series("text_hash", hashes))


def bot(frame: pl.DataFrame, share: float, generator: np.random.Generator) -> pl.DataFrame:
    """Some of the events are one item's."""
    del generator
    users = frame["user_id"].unique().sort().to_list()
    item, count = frame["item_id"][0], round(share * frame.height)
    rest = frame.filter(pl.col("item_id") != item).head(max(1, frame.height - count))
    mine = [
        (users[number % len(users)] + ("" if number < len(users) else f"-{number}"), item) for number in range(count)
    ]
    added = pl.DataFrame(mine, schema=["user_id", "item_id"], orient="row")
    times = rest.select("timestamp", "rating").head(1)
    return pl.concat([rest, added.join(times, how="cross").select(rest.columns)])


def collapsed(frame: pl.DataFrame, share: float, generator: np.random.Generator) -> pl.DataFrame:
    """Some users have the list of one of them."""
    users = frame["user_id"].unique().sort()
    same = users.gather(generator.choice(len(users), max(2, round(share * len(users))), replace=False)).sort()
    one = frame.filter(pl.col("user_id") == same[0]).drop("user_id")
    others = frame.filter(~pl.col("user_id").is_in(same.implode()))
    return pl.concat([others, same.to_frame("user_id").join(one, how="cross").select(frame.columns)])


def own_item(frame: pl.DataFrame, share: float, generator: np.random.Generator) -> pl.DataFrame:
    return set_to("neighbour_id", pl.col("item_id"))(frame, share, generator)


def _unit(vector: np.ndarray) -> list[float]:
    return [float(value) for value in vector / np.linalg.norm(vector)]


LATER = 4_000_000_000  # unix seconds, in 2096
KINDS: Mapping[tuple[str, str], tuple[Plant, tuple[float, ...]]] = {
    ("items", "rows lost"): (drop, SOME),
    ("items", "ids written differently"): (set_to("id", pl.lit("x") + pl.col("id")), SOME),
    ("items", "titles blank"): (set_to("title", ""), SOME),
    ("items", "descriptions null"): (set_to("description", None), SOME),
    ("items", "one title for many"): (set_to("title", "Untitled"), SOME),
    ("items", "titles in other rows"): (shuffle("title"), SOME),
    ("items", "id twice"): (twice, NEVER),
    ("items", "id empty"): (set_to("id", None), NEVER),
    ("users", "rows lost"): (drop, SOME),
    ("users", "ids written differently"): (set_to("id", pl.lit("0") + pl.col("id")), SOME),
    ("users", "cities null"): (set_to("city", None), SOME),
    ("users", "id twice"): (twice, NEVER),
    ("users", "id empty"): (set_to("id", ""), NEVER),
    ("interactions", "rows lost"): (drop, SOME),
    ("interactions", "users lost"): (drop_of("user_id"), SOME),
    ("interactions", "items lost"): (drop_of("item_id"), SOME),
    ("interactions", "times null"): (set_to("timestamp", None), SOME),
    ("interactions", "ratings null"): (set_to("rating", None), SOME),
    ("interactions", "ratings on another scale"): (set_to("rating", pl.col("rating") * 2), SOME),
    ("interactions", "one item everywhere"): (bot, SOME),
    ("interactions", "events of the future"): (set_to("timestamp", LATER), NEVER),
    ("interactions", "items that are not there"): (set_to("item_id", pl.lit("x") + pl.col("item_id")), NEVER),
    ("interactions", "pair twice"): (twice, NEVER),
    ("interactions", "user empty"): (set_to("user_id", None), NEVER),
    ("interactions", "ratings not finite"): (set_to("rating", float("nan")), NEVER),
    ("splits", "rows lost"): (drop, SOME),
    ("splits", "unknown part"): (set_to("part", "tset"), NEVER),
    ("splits", "pair in two parts"): (twice, NEVER),
    ("splits", "two split ids"): (set_to("split_id", "0"), NEVER),
    ("splits", "order twice"): (set_to("order", 0), NEVER),
    ("splits", "times of the future"): (set_to("time", LATER), NEVER),
    ("splits", "part null"): (set_to("part", None), NEVER),
    ("prompts", "rows lost"): (drop, SOME),
    ("prompts", "row twice"): (twice, NEVER),
    ("prompts", "no call"): (set_to("key", None), NEVER),
    ("prompts", "ids that are not there"): (set_to("id", pl.lit("x") + pl.col("id")), NEVER),
    ("prompts", "events of the future"): (set_to("max_time", LATER), NEVER),
    ("profiles", "texts blank"): (set_to("text", " "), SOME),
    ("profiles", "one text for many"): (set_to("text", "A reader of good books."), SOME),
    ("profiles", "texts cut off"): (set_to("text", pl.col("text").str.head(5)), SOME),
    ("profiles", "texts in other rows"): (shuffle("text"), SOME),
    ("profiles", "entities lost"): (drop_of("id"), SOME),
    ("profiles", "row twice"): (twice, NEVER),
    ("profiles", "no call"): (set_to("key", None), NEVER),
    ("profiles", "ids that are not there"): (set_to("id", pl.lit("x") + pl.col("id")), NEVER),
    ("embeddings", "vectors of many texts alike"): (copied_vectors, SOME),
    ("embeddings", "vectors in other rows"): (shuffle("vector"), SOME),
    ("embeddings", "rows lost"): (drop, SOME),
    ("embeddings", "drift"): (drifted, SOME),
    ("embeddings", "another dimension"): (vectors(lambda vector, _: _unit(vector[:-1])), NEVER),
    ("embeddings", "not a number"): (vectors(lambda vector, _: [float("nan"), *vector[1:].tolist()]), NEVER),
    ("embeddings", "infinite"): (vectors(lambda vector, _: [float("inf"), *vector[1:].tolist()]), NEVER),
    ("embeddings", "zero"): (vectors(lambda vector, _: [0.0] * len(vector)), NEVER),
    ("embeddings", "not unit"): (vectors(lambda vector, _: (3 * vector).tolist()), NEVER),
    ("embeddings", "no vector"): (set_to("vector", None), NEVER),
    ("embeddings", "row twice"): (twice, NEVER),
    ("embeddings", "no text"): (set_to("text_hash", None), NEVER),
    ("semantic_ids", "two items, one code"): (set_to("codes", pl.col("codes").first()), SOME),
    ("semantic_ids", "code that is not there"): (
        set_to("codes", pl.col("codes").list.eval(pl.element() + 9999)),
        NEVER,
    ),
    ("semantic_ids", "items without codes"): (drop, NEVER),
    ("semantic_ids", "a level too few"): (set_to("codes", pl.col("codes").list.head(1)), NEVER),
    ("semantic_ids", "codes in other rows"): (shuffle("codes"), SOME),
    ("recommendations", "users without a list"): (drop_of("user_id"), SOME),
    ("recommendations", "one list for many"): (collapsed, SOME),
    ("recommendations", "item twice"): (set_to("item_id", pl.col("item_id").first()), SOME),
    ("recommendations", "score not a number"): (set_to("score", float("nan")), NEVER),
    ("recommendations", "items that are not there"): (set_to("item_id", "x"), NEVER),
    ("recommendations", "hole in the ranks"): (set_to("rank", 99), NEVER),
    ("neighbours", "its own neighbour"): (own_item, NEVER),
    ("neighbours", "items that are not there"): (set_to("neighbour_id", "x"), NEVER),
}
