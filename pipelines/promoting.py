"""`loregraph promote --to N` and `loregraph releases`: model and tables go back together, and what is live."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from features.feature_store import Snapshot
from features.releases import Release, Releases
from features.store import DeltaStore, TableStore
from pipelines.night import work_folder
from pipelines.online import feed
from schemas.errors import StoreError
from schemas.run import Run, load_run
from schemas.tables import TABLES


def roll_back(file: Path, to: int, reason: str | None = None, lake: str | None = None) -> dict[str, Any]:
    """Make an earlier release live again, as one more release that pins the same tables and model.

    Everything that it pins is read first, and the online store, where there is one, is fed with it. The one that is
    live already changes nothing. Raises StoreError where the release, a version of a table or the model's folder is
    no longer there.
    """
    run = load_run(file, lake=lake)
    store = DeltaStore(run.lake)
    releases = Releases(store)
    wanted, live = releases.number(to), releases.live()
    check_readable(store, wanted, work_folder(run))
    said = reason or f"rolled back from release {live.number}"
    made = releases.add(wanted.ds, wanted.tables, wanted.live_model, said, restores=to, after=live.number)
    fed = feed(run, made)
    return {"outcome": "unchanged" if made == live else "promoted", **told(made, made), "online": fed["online"]}


def listed(file: Path, lake: str | None = None) -> dict[str, Any]:
    """Every release of a run's lake, oldest first; `live` marks the last one."""
    found = Releases(DeltaStore(load_run(file, lake=lake).lake)).all()
    return {"releases": [told(each, found[-1]) for each in found]}


def live_release(run: Run) -> Release | None:
    """What is live; None where nothing was released."""
    found = Releases(DeltaStore(run.lake)).all()
    return found[-1] if found else None


def check_readable(store: TableStore, release: Release, work: Path) -> None:
    """Read the first column of every table that a release pins. Raises StoreError naming what is no longer there."""
    for name in release.tables:
        columns = list(TABLES[name].columns)[:1] if name in TABLES else None
        Snapshot(store, release).read(name, columns)
    if release.folder is not None and not (work / release.folder / "recommender.json").is_file():
        raise StoreError(
            f"release {release.number}: {work / release.folder}: its model is no longer there; restore the folder from "
            "a copy, or name another release"
        )


def told(release: Release, live: Release) -> dict[str, Any]:
    """A release as JSON."""
    return {**asdict(release), "tables": dict(release.tables), "live": release.number == live.number}


def lines(found: dict[str, Any]) -> list[str]:
    """A line for each release: a star for the live one, number, night, when it was made (UTC), model, reason."""
    if not found["releases"]:
        return ["no release yet; `loregraph night` or `loregraph promote` makes one"]
    return [_line(each) for each in found["releases"]]


def _line(each: dict[str, Any]) -> str:
    made = datetime.fromtimestamp(each["made_at"], UTC).strftime("%Y-%m-%d %H:%M:%S")
    model = f"{each['model']}, seed {each['seed']}" if each["model"] else "tables alone"
    back = f" (restores {each['restores']})" if each["restores"] is not None else ""
    return f"{'*' if each['live'] else ' '} {each['number']:>4}  {each['ds']}  {made}  {model}  {each['reason']}{back}"
