"""`loregraph export`: a release as a folder that others read, there as a whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from features.export import FORMATS, exported_tables
from features.feature_store import FeatureStore
from schemas.errors import ConfigError, StoreError, unknown_name
from schemas.run import load_run


def export(
    file: Path,
    out: Path,
    format: str,
    release: int | None = None,
    tables: Sequence[str] = (),
    lake: str | None = None,
) -> dict[str, Any]:
    """Write a release, by default the live one, into a folder that is not there yet; returns its manifest and `out`.

    `tables`: by default all but raw calls and the store of vectors. Raises ConfigError for an unknown format or a
    folder that is there, StoreError for a release or table that is not, or where it cannot be written.
    """
    if format not in FORMATS:
        raise ConfigError(unknown_name("export: --format", format, FORMATS))
    if out.exists():
        raise ConfigError(f"export: --out: {out} is there already; move it away, or name another")
    found = FeatureStore(load_run(file, lake=lake).lake)
    snapshot = found.latest() if release is None else found.release(release)
    partial = out.with_name(f".{out.name}-{uuid4().hex[:8]}.partial")
    try:
        partial.mkdir(parents=True)
        manifest = FORMATS[format](snapshot, partial, tuple(tables) or exported_tables(snapshot))
        partial.rename(out)
    except OSError as error:
        raise StoreError(f"export: {out}: cannot write there ({error.strerror}); choose another --out") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return {**manifest, "out": str(out)}


def lines(found: dict[str, Any]) -> list[str]:
    """A line on the release, and one for each table: version, files, rows, MB."""
    head = f"release {found['release']['number']} of {found['release']['ds']}: {found['out']}"
    return [head, *(_line(name, each) for name, each in found["tables"].items())]


def _line(name: str, told: dict[str, Any]) -> str:
    rows, size = (sum(file[key] for file in told["files"]) for key in ("rows", "bytes"))
    return f"{name}: version {told['version']}, {len(told['files'])} files, {rows:,} rows, {size / 1e6:,.1f} MB"
