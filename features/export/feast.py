"""A release as a Feast feature repository: Parquet files by entity, and the Python file that defines their views."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from features.export.parquet import save_manifest
from features.export.plain import about, write_parquet_file
from features.views import MAKERS, Released, View, views
from schemas.errors import ConfigError

TIMESTAMP = "event_timestamp"
TYPES = {
    pl.String(): "String",
    pl.List(pl.String): "Array(String)",
    pl.List(pl.Float32): "Array(Float32)",
    pl.List(pl.Int32): "Array(Int32)",
    pl.List(pl.Int64): "Array(Int64)",
}
HEAD = '''"""Feature views of release {number}, night {ds}, written by Loregraph: `feast apply` in this folder."""

from pathlib import Path

from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.types import Array, Float32, Int32, Int64, String

HERE = Path(__file__).parent

user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)
item = Entity(name="item", join_keys=["item_id"], value_type=ValueType.STRING)
'''
VIEW = """
{name}_source = FileSource(name="{name}_source", path=str(HERE / "{file}"), timestamp_field="{timestamp}")
{name} = FeatureView(
    name="{name}",
    entities=[{kind}],
    schema=[Field(name="value", dtype={dtype})],
    source={name}_source,
    ttl=None,
    tags={tags},
)
"""
SETTINGS = """project: loregraph
registry: registry.db
provider: local
online_store:
  type: sqlite
  path: online.db
entity_key_serialization_version: 3
"""


def write_feast(snapshot: Released, out: Path, tables: Sequence[str]) -> dict[str, Any]:
    """Write `data/VIEW.parquet`, `definitions.py`, `feature_store.yaml` and the manifest, which is returned.

    Each view has one feature, `value`, by `user_id` or `item_id`, as of the time at which the release was made; tables
    without views are passed over. Raises ConfigError where none of `tables` has any.
    """
    wanted = [name for name in tables if name in MAKERS]
    if not wanted:
        raise ConfigError(
            f"export: feast: none of {', '.join(tables)} has features by id; name one of {', '.join(MAKERS)}"
        )
    definitions = HEAD.format(number=snapshot.release.number, ds=snapshot.release.ds)
    written: dict[str, Any] = {}
    for name, view in _named(views(snapshot, wanted)):
        file = f"data/{name}.parquet"
        told = write_parquet_file(out / file, _rows(view, snapshot.release.made_at))
        definitions += _definition(name, file, view)
        table = written.setdefault(view.table, {"version": snapshot.release.tables[view.table], "files": []})
        table["files"].append({"path": file, "view": name, "feature": view.name, **told})
    (out / "definitions.py").write_text(definitions, encoding="utf-8")
    (out / "feature_store.yaml").write_text(SETTINGS, encoding="utf-8")
    return save_manifest(out, about(snapshot, "feast", written))


def _rows(view: View, made_at: int) -> pl.DataFrame:
    at = pl.lit(datetime.fromtimestamp(made_at, UTC)).cast(pl.Datetime("us", "UTC")).alias(TIMESTAMP)
    return view.rows.select(pl.col("id").alias(f"{view.kind}_id"), "value", at)


def _definition(name: str, file: str, view: View) -> str:
    return VIEW.format(
        name=name,
        file=file,
        timestamp=TIMESTAMP,
        kind=view.kind,
        dtype=TYPES[view.rows["value"].dtype],
        tags={"feature": view.name, "table": view.table},
    )


def _named(found: Iterable[View]) -> Iterable[tuple[str, View]]:
    """Views under names that Python and Feast take, each once."""
    taken: set[str] = set()
    for view in found:
        stem = name = f"{view.kind}_{re.sub('[^0-9a-z]+', '_', view.name.lower()).strip('_')}"
        number = 2
        while name in taken:
            name, number = f"{stem}_{number}", number + 1
        taken.add(name)
        yield name, view
