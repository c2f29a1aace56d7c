"""Raw files become tables: `ingest` reads and checks the source, `split` cuts it into train, valid and test."""

from __future__ import annotations

import logging

import polars as pl

from features.readers import read_source
from features.table_engine import table_engine
from pipelines.gating import gate_source, gate_splits
from pipelines.night import Counts, Night, end_of, step
from schemas.tables import conform

log = logging.getLogger(__name__)


@step
def ingest(night: Night) -> Counts:
    """Read the source as it was at the end of `ds`; gate and publish its tables, and unusable rows as rejects."""
    source = read_source(night.run.data, until=end_of(night.ds), core=table_engine(night.run.engine).k_core)
    rejects = source.rejects.select(
        pl.lit("").alias("key"),
        pl.col("file").alias("kind"),
        "id",
        "reason",
        (pl.col("file") + pl.lit(" row ") + pl.col("row").cast(pl.String) + pl.lit(": ") + pl.col("detail")).alias(
            "detail"
        ),
    )
    publish_rejects(night, "ingest", rejects)  # first, so that they can be read when a gate fails
    gate_source(night, source)
    for name, frame in (("users", source.users), ("items", source.items), ("interactions", source.interactions)):
        night.publish(name, frame)
    for note in source.notes:
        night.progress.say(f"ingest: {note}")
    return {
        "users": source.users.height,
        "items": source.items.height,
        "interactions": source.interactions.height,
        "rejected": rejects.height,
        "notes": list(source.notes),
    }


@step
def split(night: Night) -> Counts:
    """Cut the interactions up to the end of `ds` into parts, gate them and publish them under their split id."""
    tables = table_engine(night.run.engine)
    splits, summary = tables.splits(night.place("interactions"), night.run.split, until=end_of(night.ds))
    night.trace.split_id = summary["split_id"]
    gate_splits(night, splits.frame)
    night.publish_made("splits", splits)
    return {**summary.pop("interactions"), **summary}


def publish_rejects(night: Night, step_name: str, rejects: pl.DataFrame) -> None:
    """Replace one step's rows of tonight's rejects and keep the other steps' rows."""
    mine = conform("rejects", rejects.with_columns(pl.lit(step_name).alias("step")))
    if night.store.exists("rejects", night.ds):  # read past the night's lineage: nothing else is made from them
        mine = pl.concat([night.store.read("rejects", night.ds).filter(pl.col("step") != step_name), mine])
    night.publish("rejects", mine)
    counted = mine.filter(pl.col("step") == step_name).group_by("kind", "reason").len().sort("kind", "reason")
    for kind, reason, count in counted.rows():
        log.info("rejects", extra={"event": "rejects", "count": count, "reason": reason, "of": kind})
