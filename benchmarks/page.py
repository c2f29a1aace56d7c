"""How fast the web page answers over 100,000 profiles: `python -m benchmarks.page`.

A synthetic lake of Delta tables, `loregraph ui` as a process of its own, and requests over HTTP from another. Each
figure is the median of some requests, but for the first page, which is the first that the process has ever answered.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from urllib.request import urlopen

import numpy as np
import polars as pl

from benchmarks.figures import Figure, at_most, stated
from benchmarks.scenario import Scenario, command_line, perform
from features.store import DeltaStore
from schemas.records import sha256

DURATION = "--check takes about a minute. Exit code 1 names what falls short."
ITEMS, USERS, EVENTS, REJECTS = 20_000, 80_000, 1_000_000, 5_000
MOST_MS = 300.0
REPEATS = 7
SETTLED_S = 5.0  # after which what is read at the start has been read
DS, SEED = "2026-01-01", 1
RUN = """
name = "big"
lake = "lake"
baseline = "popularity"
[data]
path = "data"
[split]
rule = "time"
[[recipes]]
name = "rlmrec.item"
[[recipes]]
name = "rlmrec.user"
[[models]]
name = "popularity"
recommender = "popularity"
"""
WARM = {  # what a page shows -> its address
    "texts, first page": "texts",
    "texts, page 1,000": "texts?place=1000",
    "texts, two words searched": "texts?q=word17+word30",
    "texts, a word that is nowhere": "texts?q=nowhere",
    "one user with prompt and sources": "subject?kind=user&id=u77",
    "one item": "subject?kind=item&id=i7",
    "two answers side by side": "answers?kind=item&id=i7",
    "rejects": "rejects",
    "rejects, searched": "rejects?q=word17",
}


def pages(folder: Path) -> list[Figure]:
    """Milliseconds of every page, and the memory that the process has used at most."""
    file = make_lake(folder)
    with served(file) as (address, pid):
        first = milliseconds(f"{address}/runs/big/texts")
        time.sleep(SETTLED_S)
        found = {
            name: [milliseconds(f"{address}/runs/big/{path}") for _ in range(REPEATS)] for name, path in WARM.items()
        }
        peak = _peak_mib(pid)
    return [
        at_most("page", "texts, the first page after the start", first, MOST_MS, " ms"),
        *(at_most("page", name, median(times), MOST_MS, " ms") for name, times in found.items()),
        stated("memory", "most that the process held", f"{peak:,.0f} MiB"),
    ]


def milliseconds(address: str) -> float:
    """From the request to the last byte of the answer, which must be a page."""
    began = time.perf_counter()
    with urlopen(address) as answer:
        body = answer.read()
    assert b"</html>" in body, address
    return 1000 * (time.perf_counter() - began)


@contextmanager
def served(file: Path) -> Iterator[tuple[str, int]]:
    """`loregraph ui` on a free port: its address and process id."""
    command = [sys.executable, "-m", "pipelines.cli", "ui", "--run", str(file), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield _address(process), process.pid
        finally:
            process.terminate()


def make_lake(folder: Path) -> Path:
    """Write the tables of a night of 100,000 users and items with a text of two fields each; returns the run file."""
    (folder / "data").mkdir()
    (folder / "run.toml").write_text(RUN, encoding="utf-8")
    store, random = DeltaStore(str(folder / "lake")), np.random.default_rng(SEED)
    asked = _asked()
    texts = {"summarization": _texts(random, asked.height, 35), "reasoning": _texts(random, asked.height, 15)}
    items, users = (asked.filter(pl.col("kind") == kind)["id"] for kind in ("item", "user"))
    store.overwrite("items", pl.DataFrame({"id": items, "title": _texts(random, ITEMS, 4)}), DS)
    store.overwrite("users", pl.DataFrame({"id": users}), DS)
    splits = _splits(random, users, items)
    store.overwrite("splits", splits, DS)
    store.overwrite("prompts", _prompts(asked, splits), DS)
    store.overwrite("profiles", pl.concat(_profiles(asked, field, said) for field, said in texts.items()), DS)
    store.append("calls", _calls(asked, texts["summarization"], _texts(random, asked.height, 150)), ("key",))
    store.overwrite("rejects", _rejects(random, asked.head(REJECTS)), DS)
    return folder / "run.toml"


def _asked() -> pl.DataFrame:
    ids = [("item", f"i{n}") for n in range(ITEMS)] + [("user", f"u{n}") for n in range(USERS)]
    rows = [(f"rlmrec.{kind}", kind, id, sha256(f"{kind} {id}"), "a-model", "0" * 16) for kind, id in ids]
    return pl.DataFrame(rows, schema=["recipe", "kind", "id", "key", "model", "split_id"], orient="row")


def _texts(random: np.random.Generator, count: int, words: int) -> pl.Series:
    """Texts of words that are as unevenly frequent as words are."""
    vocabulary = np.array([f"word{n}" for n in range(5000)])
    return pl.Series([" ".join(vocabulary[row]) for row in random.zipf(1.3, size=(count, words)) % 5000])


def _splits(random: np.random.Generator, users: pl.Series, items: pl.Series) -> pl.DataFrame:
    order = np.arange(EVENTS)
    return pl.DataFrame(
        {
            "user_id": users.gather(random.integers(0, USERS, EVENTS)),
            "item_id": items.gather(random.zipf(1.2, EVENTS) % ITEMS),
            "time": 1_700_000_000 + order,
            "order": order,
            "weight": np.ones(EVENTS, np.float32),
            "part": np.where(order < 0.8 * EVENTS, "train", np.where(order < 0.9 * EVENTS, "valid", "test")),
            "split_id": "0" * 16,
        }
    )


def _prompts(asked: pl.DataFrame, splits: pl.DataFrame) -> pl.DataFrame:
    shown = splits.filter(pl.col("part") == "train").group_by(pl.col("user_id").alias("id"))
    sources = shown.agg(pl.col("item_id").unique(maintain_order=True).tail(20).alias("source_ids"))
    rows = asked.drop("model").join(sources, on="id", how="left", maintain_order="left")
    empty = pl.lit([], dtype=pl.List(pl.String))
    about = {"version": pl.lit("1"), "part": pl.lit(0), "max_time": pl.lit(1_700_000_000)}
    return rows.with_columns(pl.col("source_ids").fill_null(empty), **about)


def _profiles(asked: pl.DataFrame, field: str, texts: pl.Series) -> pl.DataFrame:
    hashes = pl.Series([sha256(text) for text in texts])
    return asked.with_columns(field=pl.lit(field), text=texts, text_hash=hashes)


def _calls(asked: pl.DataFrame, answers: pl.Series, prompts: pl.Series) -> pl.DataFrame:
    texts = {"version": "1", "engine": "openai", "endpoint": "", "answer_schema": "{}", "finish_reason": "stop"}
    texts |= {"system": "s" * 900, "answered_by": "a-model", "night": DS}
    numbers = {"turns": 1, "input_tokens": 300, "output_tokens": 80}
    costs = {"cost_usd": 0.0001, "asked_at": 1.7e9, "answered_at": 1.7e9}
    told: dict[str, pl.Expr] = {name: pl.lit(value) for name, value in (texts | costs).items()}
    told |= {name: pl.lit(value, pl.Int64) for name, value in numbers.items()}
    said: dict[str, pl.Series | pl.Expr] = {
        "user": prompts,
        "answers": answers.reshape((-1, 1)).arr.to_list(),
        "correction": pl.lit(None, pl.String),
    }
    return asked.drop("split_id").with_columns(**told, **said)


def _rejects(random: np.random.Generator, asked: pl.DataFrame) -> pl.DataFrame:
    reasons = random.choice(["no_json", "schema", "none"], asked.height)
    details = "rlmrec.item: " + _texts(random, asked.height, 8)
    return asked.select("key", "kind", "id", step=pl.lit("publish"), reason=pl.Series(reasons), detail=details)


def _address(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.search(r"http://[\d.:]+", line):
            return found.group()
    raise ValueError(f"loregraph ui ended with exit code {process.wait()} before it told its address")


def _peak_mib(pid: int) -> float:
    """The most resident memory of a process so far (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return float(found.group(1)) / 1024 if found else float("nan")


SCENARIOS = (Scenario("the page over 100,000 profiles", ("page", "memory"), pages, pages),)


def main() -> None:
    """Measure what the command line names."""
    parser = command_line("benchmarks.page", __doc__, DURATION, SCENARIOS, has_peers=False)
    perform(parser.parse_args(), SCENARIOS, None)


if __name__ == "__main__":
    main()
