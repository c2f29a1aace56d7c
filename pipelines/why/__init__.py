"""`loregraph why`: how a text, a vector or a recommendation came to be, from what was stored at the time alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from features.store import DeltaStore
from pipelines.why.past import Past
from pipelines.why.recommendation import explain_recommendation
from pipelines.why.subject import explain_subject
from pipelines.why.vector import explain_vectors
from schemas.errors import ConfigError, unknown_name
from schemas.records import Kind
from schemas.run import load_run

IDS = {"user": 1, "item": 1, "vector": 1, "recommendation": 2}


def explain(
    what: str,
    ids: Sequence[str],
    file: Path,
    ds: str | None = None,
    lake: str | None = None,
    kind: str | None = None,
    source: str | None = None,
) -> dict[str, Any]:
    """What the tables of a night, by default the last one, tell of a user, item, vector or recommendation.

    Plain values: null is what was not stored. Raises ConfigError on a wrong word, DataError on an id that is not there,
    StoreError where a table is not.
    """
    _check(what, ids, kind)
    store = DeltaStore(load_run(file, lake=lake).lake)
    past = Past(store, _night(store, ds))
    found = _found(past, what, ids, kind, source)
    return {"what": what, "ids": list(ids), "ds": past.ds, "lake": store.root, **found, "tables": past.to_json()}


def _found(past: Past, what: str, ids: Sequence[str], kind: str | None, source: str | None) -> dict[str, Any]:
    if what == "recommendation":
        return explain_recommendation(past, *ids)
    if what == "vector":
        return explain_vectors(past, ids[0], kind, source)  # type: ignore[arg-type]
    return explain_subject(past, what, ids[0])  # type: ignore[arg-type]


def _night(store: DeltaStore, ds: str | None) -> str:
    """The night to explain. Raises StoreError naming the nearest where it has never been."""
    if ds is not None and not store.exists("users", ds):
        store.read("users", ds)
    return ds or max(store.partitions("users"))


def _check(what: str, ids: Sequence[str], kind: str | None) -> None:
    if what not in IDS:
        raise ConfigError(unknown_name("why", what, IDS))
    if len(ids) != IDS[what]:
        expected = "USER ITEM" if what == "recommendation" else "one id"
        raise ConfigError(f"why {what}: expected {expected}, found {' '.join(ids) or 'none'}")
    if kind is not None and kind not in get_args(Kind):
        raise ConfigError(unknown_name("why: --kind", kind, get_args(Kind)))
