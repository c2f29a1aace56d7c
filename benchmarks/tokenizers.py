"""Our semantic ids beside published ones: `python -m benchmarks.tokenizers --run infra/runs/tokens/beauty.toml`.

Runs the steps up to `tokenize`, and measures `published_semantic_ids.parquet` (`item_id`, `code`) of the run's data
with the same report. The night is made anew where --lake names an empty folder.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from features.table import joined
from features.tokenizers.report import report_codes
from pipelines.job import run_night
from pipelines.model_inputs import aligned
from pipelines.night import Night, open_night
from pipelines.steps.tokens import collaborative_vectors
from schemas.run import load_run

STEPS = ("ingest", "split", "encode", "materialize", "tokenize")
PUBLISHED = "published_semantic_ids.parquet"
DS = "2026-01-01"  # the events have no times
SHOWN = 4  # levels
COLUMNS = (
    *("codes", "seconds", "sizes", "used", "perplexity", "distinct", "tied", "largest tie"),
    *("text neighbours with 1..L codes", "cosine in train with 1..L codes"),
)


def main() -> None:
    """Read the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--run", type=Path, required=True, help="run file")
    parser.add_argument("--lake", help="folder of the tables, instead of the run file's")
    chosen = parser.parse_args()
    for step in STEPS:
        run_night(chosen.run, step=step, ds=DS, lake=chosen.lake)
    night = open_night(load_run(chosen.run, lake=chosen.lake), DS)
    (record,) = night.records("tokenize")
    entries = [(each["name"], each["seconds"], each["report"]) for each in record["semantic_ids"]]
    print("\n".join(table([*entries, *published(night)])))  # noqa: T201


def published(night: Night) -> Iterator[tuple[str, None, dict[str, Any]]]:
    """The report of the published codes, of all levels and without the last; none where there is no file."""
    file = Path(night.run.data.path) / PUBLISHED
    if not file.exists():
        return
    corpus = night.corpus()
    text = joined([aligned(night, corpus, "item", source) for source in night.run.semantic_ids[0].texts])
    codes = codes_of(pl.read_parquet(file), corpus.ids("item"))
    vectors = collaborative_vectors(corpus, 32)
    for levels in (codes.shape[1], codes.shape[1] - 1):
        part = np.ascontiguousarray(codes[:, :levels])
        sizes = tuple(int(size) for size in part.max(axis=0) + 1)
        report = report_codes(part, part, sizes, text.x, text.present, vectors)
        yield f"published, {levels} levels", None, report.to_json()


def codes_of(rows: pl.DataFrame, ids: pl.Series) -> np.ndarray[Any, np.dtype[np.int32]]:
    """Published codes (`item_id`, `code`) in the order of `ids`: [I, L]."""
    found = pl.DataFrame({"item_id": ids}).join(rows, on="item_id", how="left", maintain_order="left")
    return np.array(found["code"].to_list(), dtype=np.int32)


def table(entries: Sequence[tuple[str, float | None, dict[str, Any]]]) -> Iterator[str]:
    """The lines of a Markdown table."""
    yield f"| {' | '.join(COLUMNS)} |"
    yield "|---" * len(COLUMNS) + "|"
    for name, seconds, report in entries:
        cells = (
            f"`{name}`",
            "" if seconds is None else f"{seconds:.0f}",
            _list(report["sizes"], "{:d}"),
            _list(report["used"], "{:.0%}"),
            _list(report["perplexity"], "{:.0f}"),
            f"{report['distinct']:,}",
            f"{report['collisions']:.1%}",
            report["largest_tie"],
            _list(report["purity"] or (), "{:.1%}"),
            _list(report["collaborative"] or (), "{:.2f}"),
        )
        yield f"| {' | '.join(map(str, cells))} |"


def _list(values: Sequence[float | None], style: str) -> str:
    shown = " ".join("-" if value is None else style.format(value) for value in values[:SHOWN])
    return shown + (" ..." if len(values) > SHOWN else "")


if __name__ == "__main__":
    main()
