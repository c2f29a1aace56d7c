"""A release as a folder that `datasets.load_dataset` reads: a configuration per table, `splits` as its three parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from features.corpus import PARTS, RESERVED
from features.export.parquet import save_manifest
from features.export.plain import about, write_parquet_file
from features.views import Released

SPLITS = dict(zip((*PARTS, RESERVED), ("train", "validation", "test", RESERVED), strict=True))  # ours -> theirs
WHOLE = "night"  # the only split of a table that is not cut: it is no training data by itself


def write_huggingface(snapshot: Released, out: Path, tables: Sequence[str]) -> dict[str, Any]:
    """Write `data/TABLE/SPLIT.parquet`, a `README.md` whose header names them, and the manifest, which is returned.

    The interactions keep their parts: nobody tunes on `test` by accident. A table without rows has no file, which
    `datasets` could not read, and no configuration; the manifest names it.
    """
    written: dict[str, Any] = {}
    for name in tables:
        files = []
        for split, rows in _parts(name, snapshot.read(name)):
            file = f"data/{name}/{split}.parquet"
            files.append({"path": file, "split": split, **write_parquet_file(out / file, rows)})
        written[name] = {"version": snapshot.release.tables[name], "files": files}
    (out / "README.md").write_text(_card(snapshot, written), encoding="utf-8")
    return save_manifest(out, about(snapshot, "huggingface", written))


def _parts(name: str, rows: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    parts = {split: rows.filter(pl.col("part") == part) for part, split in SPLITS.items()} if name == "splits" else {}
    yield from ((split, mine) for split, mine in (parts or {WHOLE: rows}).items() if mine.height)


def _card(snapshot: Released, written: dict[str, Any]) -> str:
    release = snapshot.release
    lines = ["---", "configs:"]
    for name, told in written.items():
        if not told["files"]:
            continue
        lines += [f"- config_name: {name}", "  data_files:"]
        lines += [
            line for each in told["files"] for line in (f"  - split: {each['split']}", f"    path: {each['path']}")
        ]
    lines += ["---", "", f"# Release {release.number}, night {release.ds}", ""]
    lines += [
        "Written by Loregraph. `manifest.json` has the table versions and the sha256 of every file.",
        "Features and texts are made from `splits`, split `train`, alone; judge on `test` once.",
    ]
    return "\n".join(lines) + "\n"
