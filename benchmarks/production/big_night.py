"""The big night: 100,000 users and 50,000 items, step by step, each in a process of its own that tells what it took.

The endpoint is `loregraph simulate`, in a process that is not counted. Three sizes give the exponents that every step
grows by; ten times the night is extrapolated from them, and said to be.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.child import run_json
from benchmarks.figures import Figure, at_most, stated
from language_models.simulator.process import simulator

USERS, ITEMS = 100_000, 50_000
SIZES = (0.1, 0.3, 1.0)  # of the night
SMALL = 0.01
MOST_MB = 4_000.0
BATCH = 131_072  # pairs of a training step of the night, about a fourteenth; it grows with the size
DS = "2025-12-31"
STEPS = (
    "ingest",
    "split",
    "plan",
    "generate",
    "encode",
    "materialize",
    "train",
    "evaluate",
    "recommend",
    "promote",
    "report",
)
RUN = """
name = "big"
lake = "lake"
baseline = "popularity"
seeds = [1]
[data]
path = "data"
simulated = true
[split]
rule = "leave_one_out"
[llm]
engine = "openai"
model = "simulated"
base_url = "{url}"
concurrency = 32
[[recipes]]
name = "rlmrec.item"
options = {{ noun = "book" }}
[[recipes]]
name = "rlmrec.user"
options = {{ noun = "book" }}
[gates]  # the simulated endpoint fills templates: its texts are alike by design
duplicates = 1.0
[quality]
near_duplicates = 1.0
largest_cluster = 1.0
[encoder]
kind = "openai"
name = "hashed-words"
base_url = "{url}"
dimensions = 384
[training]
loss = "infonce"
temperature = 0.2
learning_rate = 1e-2
batch_size = {batch}
max_epochs = 3
evaluate_every = 3
[evaluation]
users = 20000
bootstrap = 1000
[[models]]
name = "popularity"
recommender = "popularity"
[[models]]
name = "item_knn"
recommender = "item_knn"
options = {{ neighbours = 100 }}
[[models]]
name = "lightgcn"
backbone = {{ name = "lightgcn", options = {{ layers = 2 }} }}
[[models]]
name = "lightgcn+rlmrec_con"
backbone = {{ name = "lightgcn", options = {{ layers = 2 }} }}
objectives = [{{ name = "rlmrec_con", weight = 0.03 }}]
features = {{ item = "rlmrec.item/summarization", user = "rlmrec.user/summarization" }}
[[models]]
name = "alpharec"
backbone = {{ name = "alpharec" }}
features = {{ item = "rlmrec.item/summarization" }}
"""
Row = Mapping[str, float]
Night = Mapping[str, Row]  # step -> seconds, cpu_s, peak_mb


def big_night(folder: Path) -> list[Figure]:
    """Every size; the marks are those of the largest, the exponents those of all."""
    nights = {size: measured(folder / str(size), size) for size in SIZES}
    largest = nights[SIZES[-1]]
    return [
        stated("big night", "what is run", about(SIZES[-1])),
        *peaks(largest),
        stated("big night", "all steps", totals(largest)),
        *(figure for step in STEPS for figure in growth(step, nights)),
    ]


def check_big_night(folder: Path) -> list[Figure]:
    """A hundredth of the night."""
    night = measured(folder, SMALL)
    return [
        stated("big night", "what is run", about(SMALL)),
        *peaks(night),
        stated("big night", "all steps", totals(night)),
    ]


def measured(folder: Path, size: float) -> Night:
    """What every step of a night of a size took. Raises LoregraphError where one fails."""
    users, items = round(USERS * size), round(ITEMS * size)
    run_json(_module("world", str(folder / "data"), str(users), str(items)))
    with simulator("--answers", "offline") as endpoint:
        run = folder / "run.toml"
        run.write_text(RUN.format(url=endpoint.url, batch=round(BATCH * size)), encoding="utf-8")
        found: dict[str, Row] = {}
        for step in STEPS:
            found[step] = run_json(_module("timed", step, "--run", str(run), "--ds", DS), OMP_NUM_THREADS="2")
            _say(f"{size:g}x {step}: {said(found[step])}")
    return found


def peaks(night: Night) -> list[Figure]:
    """A mark per step."""
    return [at_most("big night", f"{step}: {said(row)}", row["peak_mb"], MOST_MB, " MB") for step, row in night.items()]


def growth(step: str, nights: Mapping[float, Night]) -> list[Figure]:
    """How time and memory of a step grow, and what that makes of ten times the largest night."""
    sizes, rows = list(nights), [night[step] for night in nights.values()]
    seconds, peaks = ([row[name] for row in rows] for name in ("seconds", "peak_mb"))
    power = exponent(sizes, seconds)
    base, slope = line(sizes, peaks)
    told = (
        f"{_each(sizes, seconds)} s, exponent {power:.2f}; peak {_each(sizes, peaks)} MB, {base:,.0f} MB and "
        f"{slope:,.0f} MB for each 1x; ten times, extrapolated: {seconds[-1] * 10 ** max(power, 0.0):,.0f} s, "
        f"{base + 10 * sizes[-1] * slope:,.0f} MB"
    )
    return [stated("big night", f"{step}: growth", told)]


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Slope between the two largest sizes on logarithmic axes: what is fixed weighs least there."""
    (small, large), (low, high) = sizes[-2:], values[-2:]
    return float(np.log(high / low) / np.log(large / small))


def line(sizes: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
    """Start and slope of the least-squares line: of memory, the libraries and what a night adds to them."""
    slope, start = np.polyfit(sizes, values, 1)
    return float(start), float(slope)


def about(size: float) -> str:
    """The night in one line."""
    return (
        f"{round(USERS * size):,} users, {round(ITEMS * size):,} items, about 20 events a user (fewer in a small one); "
        "rlmrec.item and rlmrec.user at the simulator, 384 dimensions; popularity, item_knn, lightgcn with and without "
        "rlmrec_con, alpharec, 3 epochs each in batches that grow with the size; 20,000 users judged at most"
    )


def totals(night: Night) -> str:
    """Sums of all steps, and the highest peak."""
    seconds, cpu = (sum(row[name] for row in night.values()) for name in ("seconds", "cpu_s"))
    return f"{seconds:,.0f} s, {cpu:,.0f} CPU s, highest peak {max(row['peak_mb'] for row in night.values()):,.0f} MB"


def said(row: Row) -> str:
    return f"{row['seconds']:,.1f} s, {row['cpu_s']:,.1f} CPU s, peak {row['peak_mb']:,.0f} MB"


def _each(sizes: Sequence[float], values: Sequence[float]) -> str:
    return ", ".join(f"{size:g}x {value:,.0f}" for size, value in zip(sizes, values, strict=True))


def _module(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", f"benchmarks.production.{name}", *arguments]


def _say(text: str) -> None:
    sys.stderr.write(f"  {text}\n")
    sys.stderr.flush()
