"""Why a user or an item has its texts and edges: what was shown, what came back, and what was made of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

import polars as pl

from pipelines.why.past import Past, Row, Version
from schemas.errors import DataError
from schemas.records import Kind

CUT = 40  # characters by which a text is known that the prompt shows the beginning of
BY_USER = ("partitions", "llm_edges", "generated_items")
ASKED = ("version", "part", "source_ids", "candidate_ids", "candidates_by", "split_id", "max_time")


def explain_subject(past: Past, kind: Kind, id: str) -> Row:
    """Everything that is stored of a user or item. Raises DataError naming the nearest ids where there is none."""
    prompts = past.version("prompts")
    people = past.source(prompts, f"{kind}s") or past.version(f"{kind}s")
    found = past.read(people, pl.col("id") == id)
    if not found:
        near = past.nearest(people, "id", id)
        raise DataError(f"{kind} {id}: not in table {kind}s of {past.ds} (nearest: {near})")
    return {"attributes": found[0], "recipes": explain_recipes(past, kind, id), "rejects": _rejects(past, kind, id)}


def explain_recipes(past: Past, kind: Kind, id: str, keys: Iterable[str] | None = None) -> list[Row]:
    """An account per recipe, part and call of a subject, in the order of the run file; of some calls only."""
    told = _told(past, kind, id)
    wanted = told if keys is None else {place: row for place, row in told.items() if place[1] in set(keys)}
    calls = past.calls([key for _, key in wanted])
    shown = Shown(past, kind, id)
    return [shown.account(row, calls.get(key)) for (_, key), row in wanted.items()]


def _told(past: Past, kind: Kind, id: str) -> dict[tuple[str, str], Row]:
    """By recipe and call: how the subject was asked about, and what was read out of the answer."""
    me = (pl.col("kind") == kind) & (pl.col("id") == id)
    told: dict[tuple[str, str], Row] = {}
    for row in past.read(past.version("prompts"), me):
        told[row["recipe"], row["key"]] = _blank(row) | {name: row[name] for name in ASKED if name in row}
    for table in BY_USER if kind == "user" else ():
        rows = past.read(past.version(table), pl.col("user_id") == id)
        for row in sorted(rows, key=lambda row: row.get("part") or 0):
            told.setdefault((row["recipe"], row["key"]), _blank(row))[table].append(row)
    for row in past.read(past.version("profiles"), me):
        fields = told.setdefault((row["recipe"], row["key"]), _blank(row))["fields"]
        fields[row["field"]] = {"text": row["text"], "text_hash": row["text_hash"]}
    return told


def _blank(row: Row) -> Row:
    own: Row = {name: row.get(name) for name in ("recipe", "version", "part", "key", "split_id")}
    shown = {"max_time": row.get("end_time"), "source_ids": row.get("item_ids", [])}  # of a partition of another night
    return own | shown | {"fields": {}} | {table: [] for table in BY_USER}


class Shown:
    """What the prompts about a subject showed, in the versions that they were made from."""

    def __init__(self, past: Past, kind: Kind, id: str) -> None:
        self.past, self.kind, self.id = past, kind, id
        self.other: Kind = "item" if kind == "user" else "user"
        self._prompts = past.version("prompts")

    def account(self, row: Row, call: Row | None) -> Row:
        """A recipe's row with its call (None: not stored), its sources, and the texts of others that it shows."""
        ids = row.pop("source_ids")
        sources = self._sources(ids)
        offered = {"candidates": self.titled(row.pop("candidate_ids"))} if row.get("candidate_ids") else {}
        row.pop("candidate_ids", None)
        upstream = self._upstream(row, ids, call["user"]) if call else []
        return {**row, "call": call, "sources": sources, **offered, "upstream": upstream}

    def titled(self, ids: Sequence[str]) -> list[Row]:
        """Items with their titles, users as they are."""
        titles = titles_of(self.past, self.past.source(self._prompts, "items"), ids) if self.other == "item" else {}
        return [{"id": id, "title": titles.get(id)} for id in ids]

    def _sources(self, ids: Sequence[str]) -> list[Row]:
        mine, theirs = pl.col(f"{self.kind}_id") == self.id, pl.col(f"{self.other}_id").is_in(list(ids))
        splits = self.past.source(self._prompts, "splits")
        events = self.past.read(splits, mine & theirs, [f"{self.other}_id", "time", "part"]) if ids else []
        by_id: dict[str, Row] = {}
        for event in events:
            kept = by_id.setdefault(event[f"{self.other}_id"], event)
            if event["part"] == "train" and (kept["part"] != "train" or (event["time"] or 0) > (kept["time"] or 0)):
                by_id[event[f"{self.other}_id"]] = event
        nothing: Row = {"time": None, "part": None}
        return [{**row, **{name: by_id.get(row["id"], nothing)[name] for name in nothing}} for row in self.titled(ids)]

    def _upstream(self, row: Row, ids: Sequence[str], prompt: str) -> list[Row]:
        """The stored texts of other recipes, and of the part before, that stand in the prompt as it was sent."""
        theirs = (pl.col("kind") == self.other) & pl.col("id").is_in(list(ids)) & (pl.col("recipe") != row["recipe"])
        texts = self.past.read(self.past.version("profiles"), theirs) if ids else []
        if row["part"]:
            before = (pl.col("user_id") == self.id) & (pl.col("part") == row["part"] - 1)
            texts += _as_profiles(self.past.read(self.past.version("partitions"), before))
        found = [(text, shown) for text in texts if (shown := _shown(text["text"], prompt))]
        names = ("kind", "id", "recipe", "field", "part", "key", "text")
        return [{**{name: text.get(name) for name in names}, "shown": shown} for text, shown in found]


def titles_of(past: Past, items: Version | None, ids: Iterable[str]) -> Mapping[str, str | None]:
    """What items were called, by id."""
    rows = past.read(items, pl.col("id").is_in(list(ids)))
    return {row["id"]: row.get("title") or row.get("name") for row in rows}


def _as_profiles(partitions: Iterable[Row]) -> list[Row]:
    return [
        {**row, "kind": "user", "id": row["user_id"], "field": field, "text": text}
        for row in partitions
        for field, text in zip(row["fields"], row["texts"], strict=True)
    ]


def _shown(text: str, prompt: str) -> str | None:
    """Whether a prompt shows a text whole or only its beginning, inside JSON."""
    inside = json.dumps(" ".join(text.split()), ensure_ascii=False)[1:-1]
    if inside in prompt:
        return "whole"
    return "cut" if len(inside) > CUT and inside[:CUT] in prompt else None


def _rejects(past: Past, kind: Kind, id: str) -> list[Row]:
    """Rows of the rejects table about a subject: of its answers, and of its rows in the source."""
    return past.read(past.version("rejects"), (pl.col("id") == id) & pl.col("kind").is_in([kind, f"{kind}s"]))
