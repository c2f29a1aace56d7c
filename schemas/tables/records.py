"""Which version came from which, and what is live."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from schemas.tables.base import Int64, String, Table

RECORDS: Mapping[str, Table] = {
    "lineage": Table(
        "which version of a table a step wrote, and which versions it had read; `model:NAME/SEED`: a fitted model and "
        "what it was trained on; parts: what was read of a source (null: all); config_hash and source_hash: of models; "
        "run_file: sha256 of the file; written_at: unix seconds",
        {
            "step": String,
            "table": String,
            "version": Int64,
            "source": String,
            "source_ds": String,
            "source_version": Int64,
            "source_hash": String,
            "parts": pl.List(String),
            "config_hash": String,
            "split_id": String,
            "run_file": String,
            "loregraph": String,
            "written_at": Int64,
        },
        key=("step", "table", "version", "source", "source_ds", "source_hash"),
    ),
    "releases": Table(
        "what readers are served, one row per release: a version of every table of a night, and the live model (folder "
        "below the work folder; null: none); made_at: unix seconds; restores: the release that a rollback brought back",
        {
            "number": Int64,
            "night": String,
            "tables": pl.List(pl.Struct({"table": String, "version": Int64})),
            "model": String,
            "seed": Int64,
            "config_hash": String,
            "folder": String,
            "made_at": Int64,
            "reason": String,
            "restores": Int64,
        },
        key=("number",),
        nightly=False,
    ),
}
