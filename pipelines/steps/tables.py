"""Raw files become tables: `ingest` reads and checks the source, `split` cuts it into train, valid and test."""

from __future__ import annotations

import polars as pl

from features.readers import read_source
from features.splits import make_splits, split_summary
from pipelines.night import Counts, Night, end_of, step
from schemas.tables import conform


@step
def ingest(night: Night) -> Counts:
    """Read the source as it was at the end of `ds`; publish its tables, and unusable rows as rejects."""
    source = read_source(night.run.data, until=end_of(night.ds))
    for name, frame in (("users", source.users), ("items", source.items), ("interactions", source.interactions)):
        night.publish(name, frame)
    rejects = source.rejects.select(
        pl.lit("").alias("key"),
        pl.col("file").alias("kind"),
        "id",
        "reason",
        (pl.col("file") + pl.lit(" row ") + pl.col("row").cast(pl.String) + pl.lit(": ") + pl.col("detail")).alias(
            "detail"
        ),
    )
    publish_rejects(night, "ingest", rejects)
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
    """Cut the interactions up to the end of `ds` into parts and publish them under their split id."""
    splits = make_splits(night.read("interactions"), night.run.split, until=end_of(night.ds))
    night.publish("splits", splits)
    summary = split_summary(splits)
    return {**summary.pop("interactions"), **summary}


def publish_rejects(night: Night, step_name: str, rejects: pl.DataFrame) -> None:
    """Replace one step's rows of tonight's rejects and keep the other steps' rows."""
    mine = conform("rejects", rejects.with_columns(pl.lit(step_name).alias("step")))
    if night.store.exists("rejects", night.ds):  # read past the night's lineage: nothing else is made from them
        mine = pl.concat([night.store.read("rejects", night.ds).filter(pl.col("step") != step_name), mine])
    night.publish("rejects", mine)
