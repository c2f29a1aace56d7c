"""What was asked, what was answered, and what it cost."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from schemas.tables.base import Float64, Int64, String, Table

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

ANSWERS: Mapping[str, Table] = {
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
}
