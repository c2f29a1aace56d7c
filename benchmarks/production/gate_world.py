"""A small lake for the gates: some readers of the sample, night after night, with everything that has a gate."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from features.store import DeltaStore
from pipelines.job import run_night

SAMPLE = Path(__file__).parents[2] / "infra" / "sample"
FIRST = date(2025, 5, 20)  # the sample has events from March to June of that year
STEPS = ("ingest", "split", "generate", "encode", "materialize", "tokenize", "train", "evaluate", "recommend")
CITIES = ["Lisbon", "Bergen", "Kyoto", "Prague", "Galway", "Odessa", "Cadiz", "Ghent"]
CHANGED = 2  # descriptions that change in a night
RUN = """
name = "gating"
lake = "lake"
baseline = "item_knn"
seeds = [1]
device = "cpu"
[data]
path = "data"
items_from = "first_event"
simulated = true
[gates]
duplicates = 0.5  # of many only the first event is shown, and those who share it share their prompt
[quality]  # the offline writer fills templates: its texts are alike by design
near_duplicates = 1.0
largest_cluster = 1.0
[refresh]
events = 3
[recommend]
model = "lightgcn"
neighbours = 5
[[recipes]]
name = "rlmrec.item"
options = { noun = "book" }
[[recipes]]
name = "rlmrec.user"
options = { noun = "book", label = "READ BOOKS" }
[[semantic_ids]]
name = "codes"
item = "rlmrec.item/summarization"
[training]
loss = "infonce"
temperature = 0.2
learning_rate = 1e-2
max_epochs = 6
evaluate_every = 3
batch_size = 4096
[evaluation]
bootstrap = 20
[[models]]
name = "item_knn"
recommender = "item_knn"
[[models]]
name = "lightgcn"
backbone = { name = "lightgcn", options = { dim = 16, layers = 2, score = "cosine", init = "spectral" } }
objectives = [{ name = "rlmrec_con", weight = 0.03 }]
features = { item = "rlmrec.item/summarization", user = "rlmrec.user/summarization" }
"""


@dataclass(frozen=True)
class World:
    """A folder with data, a run file and a lake."""

    home: Path

    @property
    def file(self) -> Path:
        return self.home / "run.toml"

    @property
    def store(self) -> DeltaStore:
        return DeltaStore(str(self.home / "lake"))

    def data(self, name: str) -> Path:
        """The file of a source table."""
        return self.home / "data" / f"{name}.parquet"

    def night(self, ds: str, steps: Sequence[str] = STEPS) -> None:
        """Run the steps of a night. Raises what the night raises."""
        for step in steps:
            run_night(self.file, step=step, ds=ds)

    def copy(self, home: Path) -> World:
        """The same in another folder."""
        shutil.copytree(self.home, home)
        return World(home)


def make_world(home: Path, readers: int) -> World:
    """Write the events of some readers of the sample with ratings and cities, all its books, and the run file."""
    (home / "data").mkdir(parents=True)
    world = World(home)
    events = pl.read_parquet(SAMPLE / "interactions.parquet")
    chosen = events["user_id"].unique().sort().sample(readers, seed=0)
    stars = 3 + (pl.col("item_id").hash(seed=1) + pl.col("user_id").hash(seed=2)) % 3
    mine = events.filter(pl.col("user_id").is_in(chosen.implode()))
    mine.with_columns(rating=stars.cast(pl.Float32)).write_parquet(world.data("interactions"))
    cities = pl.Series(CITIES).gather(pl.Series(range(readers)) % len(CITIES))
    pl.DataFrame({"id": chosen, "city": cities}).write_parquet(world.data("users"))
    pl.read_csv(SAMPLE / "items.csv", infer_schema=False).write_parquet(world.data("items"))
    world.file.write_text(RUN, encoding="utf-8")
    return world


def night_of(number: int) -> str:
    """The date of a night, the first one is 0."""
    return str(FIRST + timedelta(days=number))


def change_some(world: World, seed: int) -> None:
    """What a day does to a catalogue besides new books: a few descriptions are written anew."""
    items = pl.read_parquet(world.data("items"))
    rows = np.random.default_rng(seed).choice(items.height, CHANGED, replace=False)
    new = pl.col("description") + f" (edition {seed})"
    chosen = pl.int_range(pl.len()).is_in(rows.tolist())
    items.with_columns(pl.when(chosen).then(new).otherwise("description").alias("description")).write_parquet(
        world.data("items")
    )
