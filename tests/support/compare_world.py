"""A small world for comparisons: readers of twelve subjects, and books whose texts do or do not tell their subject."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from recommenders.gf_cf import GFCF
from recommenders.lore_filter import LoreFilter

SUBJECTS = ("ghosts", "sailing", "cooking", "chess", "trains", "gardens")
SUBJECTS += ("volcanoes", "opera", "wolves", "mathematics", "pirates", "painting")
READERS, BOOKS, EVENTS = 240, 480, 5
KEPT = ", ".join(f'"options.{name}" = []' for name in GFCF.space)
OWN = ", ".join(f'"options.{name}" = []' for name in LoreFilter.space if name != "text")
RUN = f"""
name = "matrix"
lake = "lake"
seeds = [1, 2]
[data]
path = "data"
[split]
rule = "leave_one_out"
[gates]
duplicates = 1.0
min_characters = 0
[quality]
near_duplicates = 1.0
largest_cluster = 1.0
[training]
max_epochs = 2
evaluate_every = 1
batch_size = 512
learning_rate = 0.01
[[recipes]]
name = "rlmrec.item"
options = {{ noun = "book" }}
[compare]
trials = 3
graph_trials = 2
resamples = 2000
search_users = 200
price_model = "gpt-4o-mini"
[[compare.systems]]
name = "popularity"
recommender = "popularity"
[[compare.systems]]
name = "gf_cf"
recommender = "gf_cf"
space = {{ {KEPT} }}
[[compare.systems]]
name = "lore_filter"
recommender = "lore_filter"
space = {{ {OWN}, "options.text" = [0.0, 0.1, 0.4] }}
without = "gf_cf"
[[compare.systems]]
name = "lightgcn"
backbone = {{ name = "lightgcn", options = {{ dim = 8 }} }}
[[compare.texts]]
name = "profiles"
item = "rlmrec.item/summarization"
"""


def write_world(home: Path, telling: bool = True, run: str = RUN) -> Path:
    """Write data and run file, and return the latter. `telling`: books say their subject, else that of another one."""
    rng = np.random.default_rng(0)
    subject = np.arange(BOOKS) % len(SUBJECTS)
    told = subject if telling else rng.permutation(subject)
    number = np.arange(BOOKS) // len(SUBJECTS)
    titles = [f"A Book of {SUBJECTS[each].title()}, Volume {n}" for each, n in zip(told, number, strict=True)]
    ids = [f"b{n:03}" for n in range(BOOKS)]
    (home / "data").mkdir(parents=True, exist_ok=True)
    pl.DataFrame({"id": ids, "title": titles}).write_parquet(home / "data" / "items.parquet")
    rows = []
    for reader in range(READERS):
        own = np.flatnonzero(subject == reader % len(SUBJECTS))
        for day, book in enumerate(rng.choice(own, EVENTS, replace=False)):
            rows.append((f"r{reader:03}", ids[book], 1_700_000_000 + 86_400 * day + reader))
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    frame.write_csv(home / "data" / "interactions.csv")
    (home / "run.toml").write_text(run, encoding="utf-8")
    return home / "run.toml"
