"""`loregraph compact` and `loregraph vacuum`: the files of a whole lake, kept few and small."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from features.maintenance import DAY, compact, pinned_versions, vacuum
from features.releases import Release, Releases
from features.store import DeltaStore
from pipelines.night import work_folder
from pipelines.old_models import remove_old_models
from schemas.errors import ConfigError
from schemas.run import load_run


def compact_lake(file: Path, lake: str | None = None, tables: Sequence[str] = ()) -> dict[str, Any]:
    """Put the small files of every table together; no row changes, and every version stays readable.

    Run it when no night runs: a night that writes the same files at the same time may have to be run again.
    """
    store = DeltaStore(load_run(file, lake=lake).lake)
    return {"tables": [asdict(compact(store, name)) for name in tables or store.names()]}


def vacuum_lake(
    file: Path, lake: str | None = None, keep_releases: int | None = None, days: int = 7, dry_run: bool = False
) -> dict[str, Any]:
    """Delete the files of every table that no kept version names, and the models of nights that are not kept.

    Kept are the last `keep_releases` releases (None: all) with what their tables were made from, the live versions, and
    those of the last `days` days. Releases before them can no longer be read. Raises ConfigError for 0 releases.
    """
    if keep_releases is not None and keep_releases < 1:
        raise ConfigError(f"vacuum: --keep-releases: expected 1 or more, found {keep_releases}")
    run = load_run(file, lake=lake)
    store = DeltaStore(run.lake)
    kept = _kept(Releases(store).all(), keep_releases, days)
    pins = pinned_versions(store, kept)
    found = [vacuum(store, name, pins.get(name, ()), days, dry_run) for name in store.names()]
    models = remove_old_models(work_folder(run), store, kept, days, dry_run)
    numbers = [each.number for each in kept]
    return {"releases": numbers, "dry_run": dry_run, "tables": [asdict(each) for each in found], "models": models}


def compact_lines(found: dict[str, Any]) -> list[str]:
    """A line for each table that had files to put together."""
    moved = [each for each in found["tables"] if each["files_before"] != each["files_after"]]
    return [
        f"{each['table']}: {each['files_before']:,} files are now {each['files_after']:,}, version {each['version']}"
        for each in moved
    ] or ["nothing to put together"]


def vacuum_lines(found: dict[str, Any]) -> list[str]:
    """A line on the releases that stay, and one for each table with files to delete."""
    numbers = ", ".join(map(str, found["releases"])) or "none yet"
    done, models = "would be deleted" if found["dry_run"] else "deleted", found["models"]
    old = (
        [f"models: {models['folders']:,} folders {done}, {models['bytes'] / 1e6:,.1f} MB"] if models["folders"] else []
    )
    return (
        [f"releases that stay readable: {numbers}"]
        + [
            f"{each['table']}: {each['files']:,} files {done}, {each['bytes'] / 1e6:,.1f} MB; "
            f"{len(each['kept'])} versions stay"
            for each in found["tables"]
            if each["files"]
        ]
        + old
    )


def _kept(releases: Sequence[Release], keep: int | None, days: int) -> list[Release]:
    """The last `keep` releases and those that were live within `days` days; the live one is always among them."""
    since = time.time() - days * DAY
    ended = [each.made_at for each in releases[1:]]  # when each but the last was followed by another
    recent = [each for each, end in zip(releases, ended, strict=False) if end >= since]
    last = list(releases if keep is None else releases[-keep:])
    return sorted({each.number: each for each in (*recent, *last)}.values(), key=lambda each: each.number)
