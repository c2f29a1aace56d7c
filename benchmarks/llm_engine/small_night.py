"""A night of a few readers and many books, in a folder of its own, run as `loregraph night` in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from features.store import DeltaStore

FIRST, SECOND = "2026-11-22", "2026-11-23"
READERS, DAY = 20, 86_400
IN_FLIGHT = 32
RUN = """
name = "breakage"
lake = "lake"
baseline = "popularity"
seeds = [1]
[data]
path = "data"
[split]
rule = "leave_one_out"
[llm]
engine = "openai"
model = "simulated"
base_url = "{url}"
concurrency = {in_flight}
[[recipes]]
name = "rlmrec.item"
options = {{ noun = "book" }}
[gates]
duplicates = 1.0
[quality]
near_duplicates = 1.0
largest_cluster = 1.0
[evaluation]
bootstrap = 10
[[models]]
name = "popularity"
recommender = "popularity"
"""


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, and what it wrote to stderr."""

    code: int
    said: str

    @property
    def message(self) -> str:
        """The error message, without the progress before it."""
        return self.said[self.said.rfind("loregraph: ") :].strip()


def write_world(folder: Path, url: str, books: int) -> Path:
    """Write data and run file; returns the run file. Each book's description has about 1,500 characters."""
    (folder / "data").mkdir(parents=True)
    numbers = range(books)
    items = {
        "id": [f"b{number:05}" for number in numbers],
        "title": [f"The Voyage of Number {number}" for number in numbers],
        "description": [f"Of journey {number}, its weather and its company. " * 30 for number in numbers],
    }
    pl.DataFrame(items).write_parquet(folder / "data" / "items.parquet")
    events = pl.DataFrame(list(_events(books)), schema=["user_id", "item_id", "timestamp"], orient="row")
    events.write_csv(folder / "data" / "interactions.csv")
    (folder / "run.toml").write_text(RUN.format(url=url, in_flight=IN_FLIGHT), encoding="utf-8")
    return folder / "run.toml"


def _events(books: int) -> Iterator[tuple[str, str, int]]:
    """Every book is read once, by the readers in turn, a book a day."""
    for number in range(books):
        yield f"r{number % READERS:02}", f"b{number:05}", 1_700_000_000 + (number // READERS) * DAY


def night(run: Path, lake: Path, ds: str) -> list[str]:
    """The command line of a night."""
    module = [sys.executable, "-m", "pipelines.cli", "night"]
    return [*module, "--run", str(run), "--lake", str(lake), "--ds", ds]


def perform(command: Sequence[str]) -> Ended:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return Ended(done.returncode, done.stderr)


def rows_of(lake: Path, ds: str) -> dict[str, int]:
    """Rows of each table that shows the night to its readers."""
    store = DeltaStore(str(lake))
    return {name: store.read(name, ds).height for name in store.names() if ds in store.partitions(name)}
