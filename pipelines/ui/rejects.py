"""Rejected rows and answers: how many for which reason, what a reason means, and what came instead of an answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from language_models.ledger.peek import peek_calls
from pipelines.ui.shelf import Shelf

SIZE = 25
FILTERS = ("step", "kind", "reason")
MEANINGS: Mapping[str, tuple[str, str]] = {  # reason -> what it means, and what to do
    "empty_id": ("A row of the source has no user or no item.", "Mend the export, or drop such rows before it."),
    "bad_rating": ("A rating is no finite number.", "Mend the column, or leave it out of `columns`."),
    "bad_timestamp": ("A time is none between 1970 and 2100.", "Check `data.time_unit`: seconds, ms or us."),
    "bad_position": ("A position is no whole number.", "Mend the column, or leave it out of `columns`."),
    "nothing_to_ask": (
        "There is no text and no history to show, so nobody was asked and nothing was paid.",
        "Nothing, where the user or item is new; else add text columns to the catalogue.",
    ),
    "not_asked": (
        "The night ended before this one was asked: the budget, a signal, or an endpoint that went away.",
        "Run the same night again, with a higher cap where the budget was the reason.",
    ),
    "missing": ("The recorded answers have none for this one.", "Record it, or take another engine."),
    "refusal": ("The model refused to answer.", "Read the prompt; another wording or model may be answered."),
    "content_filter": ("The provider's filter held the answer back.", "Read the prompt; leave texts out that trip it."),
    "truncated": ("The answer was cut off.", "Raise `llm.max_output_tokens`."),
    "empty": (
        "The answer, or a field that must say something, is empty.",
        "Rare ones need nothing; many: see the prompt.",
    ),
    "none": ("The model says that it knows nothing to say.", "Nothing: an honest answer that stays out of the tables."),
    "no_json": ("The answer is no JSON object.", "Try `llm.structured`, or a model that follows instructions better."),
    "schema": ("The JSON lacks a field, or has one of another kind.", "Try `llm.structured`, or another model."),
    "too_long": ("A text has more words than the recipe allows.", "Raise the recipe's limit of words, or leave it."),
    "invented": ("The answer cites as evidence what the prompt does not show.", "Nothing: invented facts stay out."),
    "no_factor": ("No factor of the answer is one that was asked for.", "Look at the recipe's factors."),
    "no_candidate": ("The answer names none of the candidates.", "Nothing: it stays out of the graph."),
    "one_candidate": ("The same candidate was named as the best and as the worst.", "Nothing: it stays out."),
    "no_verdict": ("The answer is neither yes nor no.", "Take a model with log-probabilities of first tokens."),
}
OTHER = ("The call failed, or what came could not be used.", "The detail says what came; run the night again to retry.")


class Rejects(NamedTuple):
    """The rejects of one page, how many there are, by reason, and what can be chosen from."""

    rows: list[dict[str, Any]]
    total: int
    reasons: list[tuple[str, int]]  # the most frequent first, whatever reason is chosen
    choices: Mapping[str, list[str]]


def search_rejects(shelf: Shelf, ds: str, words: str, chosen: Mapping[str, str], place: int) -> Rejects:
    """Page `place` (from 1) of the rejects that have every word in id, reason or detail."""
    night = shelf.frame("rejects", ds)
    choices = {name: night[name].drop_nulls().unique().sort().to_list() for name in FILTERS}
    text = pl.concat_str("id", "reason", "detail", separator="\n", ignore_nulls=True).str.to_lowercase()
    found = night.filter(*(text.str.contains(word, literal=True) for word in words.lower().split()))
    kept = found.filter(*(pl.col(name) == chosen[name] for name in FILTERS if name != "reason" and chosen[name]))
    reasons = kept["reason"].value_counts(sort=True).rows()
    found = kept.filter(pl.col("reason") == chosen["reason"]) if chosen["reason"] else kept
    rows = found.slice((place - 1) * SIZE, SIZE).to_dicts()
    came = calls_behind(shelf, ds, [row["key"] for row in rows if row["key"]])
    about = [{**row, "call": came.get(row["key"])} for row in rows]
    return Rejects(about, found.height, reasons, choices)


def meaning_of(reason: str) -> tuple[str, str]:
    """What a reason means, and what to do."""
    return MEANINGS.get(reason, OTHER)


def calls_behind(shelf: Shelf, ds: str, keys: Iterable[str]) -> dict[str, dict[str, Any]]:
    """What was sent and what came, by key: as the lake keeps it, else as the run's ledger file does."""
    wanted = list(keys)
    found = dict(shelf.past(ds).calls(wanted))
    ledger = shelf.run.llm.ledger or shelf.work / "ledger.sqlite"
    missing = [key for key in wanted if key not in found]
    if missing and "://" not in str(ledger):
        found |= {call.key: asdict(call) for call in peek_calls(Path(ledger), missing)}
    return found
