"""What an asset event says of the tables behind it: rows, version and content of each, and what they cost."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from schemas.run import Run

# Asset -> the tables behind it; Airflow shows one asset for each of these groups.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "interactions": ("users", "items", "interactions", "splits"),
    "profiles": ("prompts", "profiles", "llm_edges", "generated_items", "partitions"),
    "embeddings": ("embeddings",),
    "semantic_ids": ("semantic_ids",),
    "instructions": ("instructions",),
    "metrics": ("models", "metrics", "user_metrics"),
    "recommendations": ("recommendations", "neighbours"),
    "releases": ("releases",),
}


def facts(run: Run, ds: str, tables: Sequence[str], counts: Mapping[str, Any]) -> dict[str, Any]:
    """`ds`, `rows`, `cost_usd`, and per table of the night its rows, version, and a digest that changes with its rows.

    Tables that the night does not have are left out. The digest is of the names of the night's data files, which are
    written anew only where rows have changed; a table without nights has none.
    """
    from features.store import DeltaStore

    store, found = DeltaStore(run.lake), dict[str, Any]()
    for name in tables:
        if about := _about(store, run.lake, name, ds):
            found[name] = about
    return {
        "ds": ds,
        "rows": sum(each["rows"] for each in found.values()),
        "cost_usd": float(counts.get("cost_usd", 0.0)),
        "tables": found,
    }


def _about(store: Any, lake: str, name: str, ds: str) -> dict[str, Any]:
    from deltalake import DeltaTable

    from features.delta import files_of
    from schemas.tables import TABLES

    night = ds if TABLES[name].nightly else None
    if not store.exists(name, night):
        return {}
    column = TABLES[name].key[:1]
    version = store.version(name)
    about = {"rows": store.read(name, ds=night, version=version, columns=column).height, "version": version}
    if night is not None:
        files = sorted(file.rpartition("/")[2] for file in files_of(DeltaTable(f"{lake}/{name}", version=version), ds))
        about["content"] = hashlib.sha256("\n".join(files).encode()).hexdigest()[:16]
    return about
