"""Models, what they are worth, and what they offer."""

from __future__ import annotations

from collections.abc import Mapping

from schemas.tables.base import Float64, Int64, String, Table

METRICS = tuple(f"{metric}@{k}" for metric in ("recall", "ndcg") for k in (5, 10, 20))

RESULTS: Mapping[str, Table] = {
    "models": Table(
        "trained models: best epoch and its metrics on valid, training time in seconds, checkpoint folder",
        {
            "name": String,
            "seed": Int64,
            "control_of": String,
            "split_id": String,
            "best_epoch": Int64,
            "epochs": Int64,
            "seconds": Float64,
            **dict.fromkeys(METRICS, Float64),
            "folder": String,
            "config_hash": String,
        },
        key=("name", "seed"),
    ),
    "metrics": Table(
        "metric values of a model on a part and slice (or given candidates, by their label), mean over `users` users",
        {
            "model": String,
            "seed": Int64,
            "part": String,
            "slice": String,
            "metric": String,
            "value": Float64,
            "users": Int64,
        },
        key=("model", "seed", "part", "slice", "metric"),
    ),
    "user_metrics": Table(
        "metric values per user on test; what the paired intervals resample",
        {"model": String, "seed": Int64, "user_id": String, "metric": String, "value": Float64},
        key=("model", "seed", "user_id", "metric"),
    ),
    "click_metrics": Table(
        "metrics of click models on valid and test: auc, log_loss, gauc (mean over users, by their samples)",
        {"model": String, "seed": Int64, "part": String, "metric": String, "value": Float64},
        key=("model", "seed", "part", "metric"),
    ),
    "comparisons": Table(
        "cells of `loregraph compare` (a system with a text, or a control of one) with the settings that validation "
        "chose: metrics on test (mean over users and seeds), US dollars of the texts (null: price unknown), seconds of "
        "a fit and of the search, peak MiB of a fit",
        {
            "name": String,
            "system": String,
            "text": String,
            "control": String,
            "control_of": String,
            "settings": String,
            "tried": Int64,
            "possible": Int64,
            "valid": Float64,
            "recall@20": Float64,
            "ndcg@20": Float64,
            "users": Int64,
            "usd": Float64,
            "usd_per_1000_users": Float64,
            "usd_per_point": Float64,
            "seconds": Float64,
            "search_seconds": Float64,
            "mib": Float64,
        },
        key=("name",),
    ),
    "comparison_intervals": Table(
        "differences between cells on test by slice and metric: 95 % intervals of a paired bootstrap over users, p "
        "(two-sided), and p adjusted by Holm within slice and metric; role: what `against` is to `name`",
        {
            "name": String,
            "against": String,
            "role": String,
            "slice": String,
            "metric": String,
            "difference": Float64,
            "low": Float64,
            "high": Float64,
            "p": Float64,
            "p_adjusted": Float64,
            "users": Int64,
        },
        key=("name", "against", "role", "slice", "metric"),
    ),
    "recommendations": Table(
        "the published lists: rank 1 is the best",
        {"model": String, "user_id": String, "rank": Int64, "item_id": String, "score": Float64},
        key=("model", "user_id", "rank"),
    ),
    "neighbours": Table(
        "items nearest to an item by the model behind the published lists, where the run file asks for them: rank 1 is "
        "the nearest; score: cosine of item vectors, or the item's row of the kernel",
        {"model": String, "item_id": String, "rank": Int64, "neighbour_id": String, "score": Float64},
        key=("model", "item_id", "rank"),
    ),
}
