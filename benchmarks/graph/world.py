"""What is measured on: Gowalla in the published split where it is there, else a synthetic graph of its size."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from scipy.sparse import csr_matrix

from benchmarks.environment import ROOT
from benchmarks.graph.synthetic import EDGES, Int64, power_law
from features.corpus import Corpus, Part, make_corpus
from features.readers import read_source
from features.splits import make_splits
from schemas.sections import Data, Split

FOLDER = Path(os.environ.get("LOREGRAPH_DATA") or ROOT / ".." / "shared" / "data").resolve() / "gowalla"
MISSING = f"skipped: no {FOLDER / 'interactions.parquet'}; set LOREGRAPH_DATA to the folder that holds gowalla"


TRAIN, VALID = 0.8, 0.1  # of the synthetic graph


@dataclass(frozen=True)
class World:
    """Train pairs, and what it is called in a figure."""

    name: str
    train: Part

    @property
    def about(self) -> str:
        part = self.train
        return f"{self.name}: {part.num_users:,} users, {part.num_items:,} items, {len(part):,} train pairs"


def is_there() -> bool:
    return (FOLDER / "interactions.parquet").exists()


def gowalla() -> Corpus:
    """The published split as it is: all of train, nothing cut from it for validation. Raises DataError."""
    source = read_source(Data(path=str(FOLDER)))
    splits = source.interactions.select(
        "user_id",
        "item_id",
        pl.lit(None, dtype=pl.Int64).alias("time"),
        pl.int_range(pl.len(), dtype=pl.Int64).alias("order"),
        pl.lit(1.0, dtype=pl.Float32).alias("weight"),
        pl.col("split").alias("part"),
        pl.lit("published").alias("split_id"),
    )
    return make_corpus(source.users, source.items, splits)


def corpus() -> Corpus:
    """Gowalla with a tenth of its train part as validation, or the synthetic graph cut at random."""
    if is_there():
        source = read_source(Data(path=str(FOLDER)))
        return make_corpus(source.users, source.items, make_splits(source.interactions, Split(rule="published")))
    part = power_law(round(EDGES / TRAIN))
    users, items = (pl.DataFrame({"id": [f"{row:07}" for row in range(n)]}) for n in (part.num_users, part.num_items))
    cut = np.random.default_rng(1).choice(3, size=len(part), p=(TRAIN, VALID, 1 - TRAIN - VALID)).astype(np.int8)
    return Corpus(users, items, part.edges, part.time, part.weight, cut, "synthetic")


def world() -> World:
    """Gowalla, or the synthetic graph in its place."""
    return World("Gowalla", gowalla().train) if is_there() else World("synthetic", power_law(EDGES))


def matrix(user: Int64, item: Int64, shape: tuple[int, int]) -> csr_matrix:
    """Distinct pairs as bool [U, I] with sorted rows."""
    made = csr_matrix((np.ones(len(user), dtype=bool), (user, item)), shape=shape)
    made.sort_indices()
    return made
