"""The quality of a night's answers for the report: a row per field, examples, and what was measured on other nights."""

from __future__ import annotations

from typing import Any

import polars as pl

from features.quality.drift import earlier_night
from pipelines.night import Night

NIGHTS = 30  # shown at most, tonight's the last
FOLLOWED = ("coverage", "near_duplicates")  # over the nights


def answers(night: Night) -> dict[str, Any]:
    """Fields with their measures, examples, the night they are compared with, and earlier nights; empty without any."""
    if not night.store.exists("answer_quality", night.ds):
        return {}
    examples = (
        night.read("answer_examples")
        if night.store.exists("answer_examples", night.ds)
        else night.empty("answer_examples")
    )
    published = night.store.partitions("profiles") if night.store.exists("profiles") else []
    return {
        "compared_with": earlier_night(published, night.ds),
        "fields": _fields(night.read("answer_quality").filter(pl.col("field") != "")),
        "examples": examples.sort("recipe", "field", "measure", "rank").to_dicts(),
        "nights": _nights(night),
    }


def _fields(measures: pl.DataFrame) -> list[dict[str, Any]]:
    """Per recipe and field: measure -> value, allowed, over (whether it is above) and detail."""
    over = (pl.col("value") > pl.col("allowed")).fill_null(value=False)
    marked = measures.with_columns(over=over)
    found = []
    for (recipe, kind, field), rows in marked.group_by("recipe", "kind", "field", maintain_order=True):
        each = rows.select("measure", "value", "allowed", "over", "detail").to_dicts()
        values = {row.pop("measure"): row for row in each}
        found.append({"recipe": recipe, "kind": kind, "field": field, "measures": values})
    return sorted(found, key=lambda row: (row["recipe"], row["field"]))


def _nights(night: Night) -> list[dict[str, Any]]:
    """Coverage and near-duplicates of every field on the last nights up to this one, oldest first."""
    columns = ["ds", "recipe", "field", "measure", "value"]
    nights = [ds for ds in night.store.partitions("answer_quality") if ds <= night.ds][-NIGHTS:]
    rows = night.store.read("answer_quality", columns=columns).filter(
        pl.col("ds").is_in(nights), pl.col("measure").is_in(FOLLOWED), pl.col("field") != ""
    )
    names = ["recipe", "field", "ds"]
    wide = rows.pivot("measure", on_columns=FOLLOWED, index=names, values="value").sort(names)
    return wide.select(*names, *FOLLOWED).to_dicts()
