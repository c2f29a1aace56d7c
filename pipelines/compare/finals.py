"""What is kept of a fit that was looked at on test: its figures, and scores per user by slice as Parquet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from evaluation.metrics import Scores

K = 20
METRICS = (f"recall@{K}", f"ndcg@{K}")
PRIMARY = METRICS[0]
SLICES = ("cold items", "tail items", "new items", "new users", "new items among themselves")
ALL = "all"


@dataclass(frozen=True)
class Final:
    """One fit with the chosen settings."""

    seed: int
    valid: float  # the selection metric on the whole of validation
    seconds: float
    mib: float
    epochs: int
    scores: Mapping[str, Scores]  # of ALL and SLICES; a slice without users is absent


def write_scores(slices: Mapping[str, Scores], file: Path) -> None:
    """Write the scores of ALL and SLICES whole or not at all."""
    frames = [
        pl.DataFrame({"slice": [name] * len(each.user), "user": each.user, **{m: each.values[m] for m in METRICS}})
        for name, each in slices.items()
        if name in (ALL, *SLICES) and len(each.user)
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial")
    pl.concat(frames).write_parquet(partial)
    partial.replace(file)


def read_scores(file: Path) -> dict[str, Scores]:
    """What `write_scores` wrote, by slice."""
    parts = pl.read_parquet(file).partition_by("slice", as_dict=True, maintain_order=True)
    return {
        str(name): Scores(part["user"].to_numpy(), {metric: part[metric].to_numpy() for metric in METRICS})
        for (name,), part in parts.items()
    }
