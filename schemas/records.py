"""The records that flow through a night: subject, prompt, completion, rows and rejects (ARCHITECTURE, core types)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["user", "item"]
JSON = Any


def canonical(value: JSON) -> str:
    """One text per value: sorted keys, no spaces, Unicode kept. What every hash of ours is taken from."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def sha256(text: str) -> str:
    """Hex digest of a text's UTF-8 bytes."""
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Event:
    """One train interaction of a subject, with the other side's attributes (an item's, when the subject is a user)."""

    id: str
    attributes: Mapping[str, str]
    time: int | None = None  # unix seconds, None where the source has none
    weight: float = 1.0
    review: str | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """What a recipe may know of one user or item. Only `Corpus.train` makes one, so no held-out row can be in it."""

    kind: Kind
    id: str
    attributes: Mapping[str, str]
    history: tuple[Event, ...] = ()  # oldest first
    reviews: tuple[str, ...] = ()
    candidates: tuple[str, ...] = ()
    profiles: Mapping[str, str] = field(default_factory=dict)  # id of a history item -> its upstream profile text


@dataclass(frozen=True, slots=True)
class Prompt:
    """One question to a language model. Equal prompts are asked once."""

    recipe: str
    version: str
    kind: Kind
    id: str
    system: str
    user: str
    answer_schema: Mapping[str, JSON]  # JSON schema of the answer
    source_ids: tuple[str, ...] = ()  # ids of the interactions' other side that the text was made from

    def body(self) -> JSON:
        """The part of the prompt that decides the answer; who it is about is in the text, not in the key."""
        return {
            "recipe": self.recipe,
            "version": self.version,
            "messages": [{"role": "system", "content": self.system}, {"role": "user", "content": self.user}],
            "answer_schema": self.answer_schema,
        }

    def key(self, model: str, params: Mapping[str, JSON]) -> str:
        """Content key of the call: sha256 of canonical JSON of model, parameters (endpoint included) and body."""
        return sha256(canonical({"model": model, "params": dict(params), **self.body()}))


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer as it came back, before anything reads it."""

    key: str
    text: str
    finish_reason: str  # stop, length, content_filter, refusal, missing or error:<class>
    input_tokens: int
    output_tokens: int
    cost_usd: float
    model: str
    latency_s: float


@dataclass(frozen=True, slots=True)
class ProfileRow:
    """One text that a recipe read out of an answer."""

    kind: Kind
    id: str
    recipe: str
    field: str
    text: str
    key: str


@dataclass(frozen=True, slots=True)
class EdgeRow:
    """One user-item edge that a recipe read out of an answer; never mixed into observed interactions."""

    user_id: str
    item_id: str
    label: int  # 1 liked, -1 disliked
    weight: float
    recipe: str
    key: str


@dataclass(frozen=True, slots=True)
class Reject:
    """An answer or an input row that could not be used, and why."""

    key: str
    id: str
    reason: str
    detail: str
