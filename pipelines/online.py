"""The online store of a run: fed with a release, asked for one user or item."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from features.feature_store import FeatureStore, Snapshot
from features.online import ONLINE_STORES, Features, Fed, OnlineStore, Place, entries, unpack
from features.releases import Release
from features.store import DeltaStore
from features.views import views
from pipelines.night import Counts, work_folder
from schemas.errors import ConfigError, DataError
from schemas.records import KINDS, Kind, canonical, sha256
from schemas.run import Run, load_run
from schemas.tables import TABLES

LISTED = {"recommendations": "user_id", "neighbours": "item_id"}  # whose lists they are
SHOWN = 8  # values of a list on one line


def feed(run: Run, release: Release | None = None) -> Counts:
    """Make a release, by default the live one, what readers of the online store see; nothing where they see it already.

    Without `[online]` nothing is done, and nothing opened. Raises StoreError; readers then keep what they had.
    """
    if run.online.store == "none":
        return {"online": "none"}
    snapshot = FeatureStore(run.lake).latest() if release is None else Snapshot(DeltaStore(run.lake), release)
    fed = _fed(run, snapshot.release)
    told = {"online": run.online.store, "release": fed.release}
    with closing(open_online(run)) as online:
        if online.live() == fed:
            return {**told, "features": 0, "switched": False}
        began = time.perf_counter()
        found = views(snapshot, run.online.tables, run.online.sources)
        count = online.feed(fed, (entry for view in found for entry in entries(view)))
    return {**told, "features": count, "switched": True, "feed_seconds": round(time.perf_counter() - began, 3)}


def open_online(run: Run) -> OnlineStore:
    """The online store that the run file names. Raises ConfigError where it names none, or its address is not set."""
    online = run.online
    if online.store == "none":
        raise ConfigError(f'{run.file}: online.store: expected "sqlite" or "redis", found "none"')
    url = online.url or ""
    if online.url_env is not None and not (url := os.environ.get(online.url_env, "")):
        raise ConfigError(f"{run.file}: online.url_env: the environment variable {online.url_env} is not set")
    path = Path(online.path) if online.path is not None else work_folder(run) / "online.sqlite"
    return ONLINE_STORES[online.store](Place(path, url, run.name))


def check_online(run: Run) -> None:
    """Refuse, before anything is paid, a store that could not be opened: no package, no address. Raises ConfigError."""
    if run.online.store != "none":
        open_online(run).close()


def features(file: Path, kind: str, id: str, lake: str | None = None) -> dict[str, Any]:
    """What a service would get of a user or item: from the online store, or where there is none from the lake.

    Raises ConfigError for a kind that is none, DataError for an id that the release does not know.
    """
    if kind not in KINDS:
        raise ConfigError(f"features: expected user or item, found {kind}")
    run, began = load_run(file, lake=lake), time.perf_counter()
    fed, found = _stored(run, kind, id) if run.online.store != "none" else _from_lake(run, kind, id)
    seconds = time.perf_counter() - began
    if not found:
        raise DataError(
            f"features: {kind} {id}: release {fed.release} has nothing of it; see `loregraph table {kind}s`"
        )
    about = {"from": run.online.store if run.online.store != "none" else "lake", "release": fed.release, "ds": fed.ds}
    return {"kind": kind, "id": id, **about, "milliseconds": round(1000 * seconds, 3), "features": _plain(found)}


def lines(found: dict[str, Any]) -> list[str]:
    """A line on where it comes from, and one for each feature; of long values the beginning."""
    head = f"{found['kind']} {found['id']}: release {found['release']} of {found['ds']}, from {found['from']}"
    return [f"{head}, {found['milliseconds']} ms", *(f"{name}: {_short(v)}" for name, v in found["features"].items())]


class _Alone:
    """A release of which only the rows of one user or item are read."""

    def __init__(self, snapshot: Snapshot, kind: Kind, id: str) -> None:
        self.release, self._snapshot, self._kind, self._id = snapshot.release, snapshot, kind, id

    def read(self, table: str, columns: Sequence[str] | None = None, where: pl.Expr | None = None) -> pl.DataFrame:
        column = "id" if "id" in TABLES[table].columns else LISTED[table]
        mine = pl.col(column) == self._id
        if "kind" in TABLES[table].columns:
            mine &= pl.col("kind") == self._kind
        return self._snapshot.read(table, columns, mine if where is None else where & mine)

    def names(self) -> list[str]:
        return self._snapshot.names()


def _stored(run: Run, kind: Kind, id: str) -> tuple[Fed, Features]:
    with closing(open_online(run)) as online:
        found, fed = online.get(kind, id), online.live()
        assert fed is not None, "get raises where nothing is live"
        return fed, found


def _from_lake(run: Run, kind: Kind, id: str) -> tuple[Fed, Features]:
    """The same that the online store would give."""
    snapshot = FeatureStore(run.lake).latest()
    found = (view for view in views(_Alone(snapshot, kind, id), run.online.tables) if view.kind == kind)
    named = {entry[2]: unpack(entry[3]) for view in found for entry in entries(view) if entry[1] == id}
    wanted = {name: value for name, value in named.items() if _wanted(name, run.online.sources)}
    return _fed(run, snapshot.release), wanted


def _wanted(name: str, sources: Sequence[str]) -> bool:
    """Whether a feature is among the sources; those that are no text and no vector are no matter of theirs."""
    return not sources or name in sources or name.split("/")[0] in (*LISTED, "semantic_ids")


def _fed(run: Run, release: Release) -> Fed:
    """What is fed: of another lake, release or section it would be something else."""
    what = {"tables": dict(release.tables), "made_at": release.made_at, "ds": release.ds, "lake": run.lake}
    section = {"of": list(run.online.tables), "sources": list(run.online.sources)}
    return Fed(release.number, release.ds, sha256(canonical({**what, **section}))[:16])


def _plain(found: Features) -> dict[str, Any]:
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in sorted(found.items())}


def _short(value: Any) -> str:
    if isinstance(value, str):
        return value
    more = f", ... ({len(value)} in all)" if len(value) > SHOWN else ""
    return ", ".join(f"{each:.4f}" if isinstance(each, float) else str(each) for each in value[:SHOWN]) + more
