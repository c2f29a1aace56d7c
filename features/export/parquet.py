"""A release as plain Parquet: a folder per table, and a manifest."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from features.export.plain import about, write_parquet_file
from features.views import Released

MANIFEST = "manifest.json"


def write_parquet(snapshot: Released, out: Path, tables: Sequence[str]) -> dict[str, Any]:
    """Write `TABLE/part-0.parquet` for each table and `manifest.json`; returns the manifest."""
    written = {}
    for name in tables:
        file = f"{name}/part-0.parquet"
        told = write_parquet_file(out / file, snapshot.read(name))
        written[name] = {"version": snapshot.release.tables[name], "files": [{"path": file, **told}]}
    return save_manifest(out, about(snapshot, "parquet", written))


def save_manifest(out: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    """Write a manifest beside what it is about."""
    text = json.dumps(manifest, indent=1, ensure_ascii=False, allow_nan=False)
    (out / MANIFEST).write_text(text + "\n", encoding="utf-8")
    return manifest
