"""Folders of fitted models that no kept release, no night of the last days and not the last night needs any more."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from features.maintenance import DAY
from features.releases import Release
from features.store import DeltaStore
from schemas.errors import StoreError


def remove_old_models(
    work: Path, store: DeltaStore, kept: Sequence[Release], days: int, dry_run: bool
) -> dict[str, Any]:
    """Delete (dry run: count) model folders; how many, and their bytes.

    Kept are those that the table `models` names for a kept release (retrievers and other seeds among them), for the
    last night and for those of the last `days` days, and all that were written within these days.
    """
    needed = {*_of_releases(store, kept), *_of_nights(store, days)}
    since = time.time() - days * DAY
    old = [folder for folder in _folders(work) if folder not in needed and _written(work / folder) < since]
    size = sum(file.stat().st_size for folder in old for file in (work / folder).rglob("*") if file.is_file())
    for folder in () if dry_run else old:
        shutil.rmtree(work / folder)
    return {"folders": len(old), "bytes": size}


def _folders(work: Path) -> list[str]:
    """Every model's folder, below the work folder."""
    return sorted(str(each.relative_to(work)) for each in work.glob("models/*/*") if each.is_dir())


def _written(folder: Path) -> float:
    """When anything in a folder was last written, unix seconds."""
    return max(each.stat().st_mtime for each in (folder, *folder.rglob("*")))


def _of_releases(store: DeltaStore, kept: Iterable[Release]) -> Iterator[str]:
    for release in kept:
        if release.folder is not None:
            yield release.folder
        if "models" in release.tables:
            yield from _named(store, release.ds, release.tables["models"])


def _of_nights(store: DeltaStore, days: int) -> Iterator[str]:
    nights = store.partitions("models") if store.exists("models") else []
    first = (datetime.now(UTC) - timedelta(days=days)).date().isoformat()
    for ds in [ds for ds in nights if ds >= first or ds == nights[-1]]:
        yield from _named(store, ds, None)


def _named(store: DeltaStore, ds: str, version: int | None) -> Sequence[str]:
    try:
        rows = store.read("models", ds, version, columns=["folder"])
    except StoreError:  # a release of tables alone, or of a night before there were models
        return ()
    return rows["folder"].drop_nulls().to_list()
