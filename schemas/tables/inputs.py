"""What models are trained on."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from schemas.tables.base import Float32, Float64, Int64, String, Table

INPUTS: Mapping[str, Table] = {
    "vectors": Table(
        "every text ever encoded, by encoder and text hash; grows, so that no text is encoded twice",
        {"encoder": String, "text_hash": String, "vector": pl.List(Float32)},
        key=("encoder", "text_hash"),
        nightly=False,
    ),
    "embeddings": Table(
        "vectors by user or item and source (`recipe/field@encoder`), unit L2 norm",
        {
            "kind": String,
            "id": String,
            "source": String,
            "text_hash": String,
            "dim": Int64,
            "norm": Float64,
            "vector": pl.List(Float32),
        },
        key=("kind", "id", "source"),
    ),
    "semantic_ids": Table(
        "codes of every item by entry of [[semantic_ids]], coarse to fine, the last one to tell ties apart; sizes: "
        "codes of each level; fit: hash of the tokenizer and what it was fitted on, the same while codes are stable",
        {
            "name": String,
            "id": String,
            "tokenizer": String,
            "fit": String,
            "codes": pl.List(pl.Int32()),
            "sizes": pl.List(pl.Int32()),
        },
        key=("name", "id"),
    ),
    "instructions": Table(
        "examples to tune language models on by entry of [[instructions]], made from train alone: system, user and "
        "assistant message; rejected: worse answers; search: a wish is told; label: 1 for yes, 0 for no; source_ids: "
        "items of the user's interactions that the prompt shows",
        {
            "name": String,
            "builder": String,
            "row": Int64,
            "task": String,
            "template": String,
            "search": pl.Boolean(),
            "user_id": String,
            "item_id": String,
            "messages": pl.List(pl.Struct({"role": String, "content": String})),
            "rejected": pl.List(String),
            "label": Float64,
            "source_ids": pl.List(String),
            "prompt_hash": String,
            "split_id": String,
        },
        key=("name", "row"),
    ),
}
