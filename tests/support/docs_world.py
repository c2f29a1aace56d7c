"""A folder as a reader of the documentation has it: run files, a sample cut to a few readers, and a night of it."""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path

import polars as pl

from pipelines.job import run_night
from tests.support.pages import ROOT

DS, RUN_FILE, LAKE = "2026-11-22", "infra/runs/sample.toml", "lake/sample"
READER, BOOK = "r0681", "b003"  # whom the pages ask about
READERS, BOOKS = 40, 60
KEPT = ("popularity", "text_match", "lightgcn", "lightgcn+rlmrec_con")
QUICK = """
[recommend]
k = 5
neighbours = 3
model = "lightgcn"
index = "usearch"
[gates.tables.recommendations]
alike = 1.0
[[semantic_ids]]
name = "codes"
item = "title"
options = { levels = 2, size = 4 }
[[recipes]]
name = "kar.user"
options = { noun = "book", domain = "books" }
"""


def make_world(home: Path) -> Path:
    """Copy what pages name, cut the sample, and run one night on it; returns the folder."""
    shutil.copytree(ROOT / "infra", home / "infra", ignore=shutil.ignore_patterns("__pycache__"))
    _cut(home / "infra" / "sample")
    file = home / RUN_FILE
    file.write_text(_quick(file.read_text(encoding="utf-8")), encoding="utf-8")
    run_night(file, ds=DS)
    (home / "lake" / "books").symlink_to(home / LAKE)  # what the pages call the lake of one's own data
    return home


def _cut(sample: Path) -> None:
    """The busiest readers and what most of them have read, with those that the pages name."""
    events, books = pl.read_parquet(sample / "interactions.parquet"), pl.read_csv(sample / "items.csv")
    readers = [READER, *events["user_id"].value_counts(sort=True).head(READERS)["user_id"]]
    events = events.filter(pl.col("user_id").is_in(readers))
    read = [BOOK, *events["item_id"].value_counts(sort=True).head(BOOKS)["item_id"]]
    events.filter(pl.col("item_id").is_in(read)).write_parquet(sample / "interactions.parquet")
    books.filter(pl.col("id").is_in(read)).write_csv(sample / "items.csv")


def _quick(text: str) -> str:
    """The run file with four of its models, one seed and two epochs."""
    head, *models = re.split(r"(?=^\[\[models\]\])", text, flags=re.MULTILINE)
    head = re.sub(r"^seeds = .*$", "seeds = [1]", head, flags=re.MULTILINE)
    head = re.sub(r"^(max_epochs|evaluate_every) = \d+$", r"\1 = 2", head, flags=re.MULTILINE)
    kept = [each for each in models if tomllib.loads(each)["models"][0]["name"] in KEPT]
    return head + QUICK + "".join(kept)
