"""The tables of the lake: what each one holds, its columns, and the key that is unique within a night."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from schemas.errors import DataError

String, Int64, Float32, Float64 = pl.String(), pl.Int64(), pl.Float32(), pl.Float64()
CALLS = (
    "asked",
    "cached",
    "follow_ups",
    "rejected",
    "failed",
    "unknown",
    "orphaned",
    "recovered",
    "retried",
    "rate_limited",
    "input_tokens",
    "cached_tokens",
    "output_tokens",
)
METRICS = tuple(f"{metric}@{k}" for metric in ("recall", "ndcg") for k in (5, 10, 20))


@dataclass(frozen=True)
class Table:
    """One table. `open` tables carry further columns of the source; `optional` ones may be absent.

    `nightly` tables have one partition per `ds`; the others only grow.
    """

    doc: str
    columns: Mapping[str, pl.DataType]
    key: tuple[str, ...]
    open: bool = False
    optional: Mapping[str, pl.DataType] | None = None
    nightly: bool = True

    def empty(self) -> pl.DataFrame:
        """A frame of no rows with the columns of the table."""
        return pl.DataFrame(schema=dict(self.columns))


TABLES: Mapping[str, Table] = {
    "users": Table(
        "one row per user: its id, and whatever text columns the source has",
        {"id": String},
        key=("id",),
        open=True,
    ),
    "items": Table(
        "one row per item: its id, and whatever text columns the source has",
        {"id": String},
        key=("id",),
        open=True,
    ),
    "interactions": Table(
        "what users did with items, as read from the source",
        {"user_id": String, "item_id": String},
        key=(),
        open=True,
    ),
    "splits": Table(
        "every interaction and its part (train, valid, test); time in unix seconds or empty, order where there is none",
        {
            "user_id": String,
            "item_id": String,
            "time": Int64,
            "order": Int64,
            "weight": Float32,
            "part": String,
            "split_id": String,
        },
        key=("order",),
        optional={"review": String, "rating": Float32},
    ),
    "prompts": Table(
        "what was asked: subject (and which part of its history, 0 for all of it), call key, the other side's ids and "
        "the latest time (unix seconds) behind the text; where candidates were shown, which and who drew them",
        {
            "recipe": String,
            "version": String,
            "kind": String,
            "id": String,
            "part": Int64,
            "key": String,
            "source_ids": pl.List(String),
            "split_id": String,
            "max_time": Int64,
        },
        key=("recipe", "kind", "id", "part"),
        optional={"candidate_ids": pl.List(String), "candidates_by": String},
    ),
    "profiles": Table(
        "texts read out of answers, with the call they came from and the split they may know",
        {
            "kind": String,
            "id": String,
            "recipe": String,
            "field": String,
            "text": String,
            "text_hash": String,
            "key": String,
            "model": String,
            "split_id": String,
        },
        key=("kind", "id", "recipe", "field"),
    ),
    "llm_edges": Table(
        "user-item edges that a language model proposed, never mixed into interactions: label 1 liked, -1 disliked",
        {
            "user_id": String,
            "item_id": String,
            "label": Int64,
            "weight": Float64,
            "recipe": String,
            "key": String,
            "model": String,
            "split_id": String,
        },
        key=("recipe", "user_id", "item_id"),
    ),
    "generated_items": Table(
        "items that a language model made up for users, and what the catalogue has of them: status exact, normalised, "
        "fuzzy (score 0 to 1) or none",
        {
            "user_id": String,
            "recipe": String,
            "rank": Int64,
            "title": String,
            "text": String,
            "status": String,
            "item_id": String,
            "score": Float64,
            "key": String,
            "model": String,
            "split_id": String,
        },
        key=("recipe", "user_id", "rank"),
    ),
    "partitions": Table(
        "closed partitions of users' train histories, oldest first, and what the answers to them said; append-only: "
        "the next night keeps every row whose events are still in train",
        {
            "user_id": String,
            "recipe": String,
            "version": String,
            "part": Int64,
            "item_ids": pl.List(String),
            "start_time": Int64,
            "end_time": Int64,
            "late": pl.Boolean(),
            "fields": pl.List(String),
            "texts": pl.List(String),
            "key": String,
            "model": String,
            "split_id": String,
        },
        key=("recipe", "user_id", "part"),
    ),
    "answer_quality": Table(
        "measures of the answers by recipe and field (rejects by recipe alone: field empty), and the most that each "
        "may be (null: not gated); written before the gates, so that it says why one failed",
        {
            "recipe": String,
            "kind": String,
            "field": String,
            "measure": String,
            "value": Float64,
            "allowed": Float64,
            "detail": String,
        },
        key=("recipe", "kind", "field", "measure"),
    ),
    "answer_examples": Table(
        "answers behind a measure: the largest clusters of near-duplicates, titles that no prompt showed, other "
        "languages; said is the title or language, size the number of texts, ids some of them, text that of the first",
        {
            "recipe": String,
            "kind": String,
            "field": String,
            "measure": String,
            "rank": Int64,
            "said": String,
            "size": Int64,
            "ids": pl.List(String),
            "text": String,
        },
        key=("recipe", "kind", "field", "measure", "rank"),
    ),
    "rejects": Table(
        "answers and input rows that could not be used, and why",
        {"step": String, "key": String, "kind": String, "id": String, "reason": String, "detail": String},
        key=(),
    ),
    "llm_runs": Table(
        "runs of a recipe's questions, failed and killed ones included: calls, tokens, US dollars, seconds",
        {
            "recipe": String,
            "kind": String,
            "shard": Int64,
            "started": String,
            "engine": String,
            "model": String,
            "mode": String,
            "outcome": String,
            **dict.fromkeys(CALLS, Int64),
            "cost_usd": Float64,
            "seconds": Float64,
        },
        key=("recipe", "shard", "started"),
    ),
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
    "calls": Table(
        "every call behind published rows as the ledger has kept it: what was sent, what came, tokens, dollars, times "
        "(unix seconds); grows, and holds whatever data of users the prompts have shown",
        {
            "key": String,
            "recipe": String,
            "version": String,
            "kind": String,
            "id": String,
            "engine": String,
            "endpoint": String,
            "model": String,
            "system": String,
            "user": String,
            "answer_schema": String,
            "correction": String,
            "answers": pl.List(String),
            "finish_reason": String,
            "answered_by": String,
            "turns": Int64,
            "input_tokens": Int64,
            "output_tokens": Int64,
            "cost_usd": Float64,
            "asked_at": Float64,
            "answered_at": Float64,
            "night": String,
        },
        key=("key",),
        nightly=False,
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


def conform(name: str, frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with a table's columns in their order and types; an open table keeps its further columns.

    Raises DataError naming table and column where one is missing, unknown, or of values that the type cannot hold.
    """
    table = TABLES[name]
    known = {**table.columns, **(table.optional or {})}
    missing = [column for column in table.columns if column not in frame.columns]
    extra = [column for column in frame.columns if column not in known and column != "ds"]
    if missing or (extra and not table.open):
        problem = f"column {missing[0]} is missing" if missing else f"column {extra[0]} is unknown"
        raise DataError(f"table {name}: {problem} (expected {', '.join(known)}; found {', '.join(frame.columns)})")
    ordered = [column for column in known if column in frame.columns]
    try:
        return frame.select(*ordered, *extra).cast({column: known[column] for column in ordered})
    except pl.exceptions.InvalidOperationError as error:
        raise DataError(f"table {name}: {error}") from error
