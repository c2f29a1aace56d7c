"""The records that flow through a night: subject, prompt, completion, rows and rejects (ARCHITECTURE, core types)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

Kind = Literal["user", "item"]
KINDS: tuple[Kind, ...] = ("item", "user")
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
    rating: float | None = None  # in the source's own scale


@dataclass(frozen=True, slots=True)
class Subject:
    """What a recipe may know of one user or item. Only `Corpus.train` makes one, so no held-out row can be in it.

    `candidates` are items that the user does not have in train, from a base model that knows train alone. A recipe over
    partitions is asked once for each: `history` is then the partition's events, `part` its number from 1, and `before`
    what the answer to the partition before it said, by field.
    """

    kind: Kind
    id: str
    attributes: Mapping[str, str]
    history: tuple[Event, ...] = ()  # oldest first
    reviews: tuple[str, ...] = ()
    candidates: tuple[Event, ...] = ()
    profiles: Mapping[str, str] = field(default_factory=dict)  # id of a history item -> its upstream profile text
    part: int = 0
    before: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Prompt:
    """One question to a language model. Equal prompts are asked once."""

    recipe: str
    version: str
    kind: Kind
    id: str
    system: str
    user: str
    answer_schema: Mapping[str, JSON]  # JSON schema of the answer; with `first_token`: see the property
    source_ids: tuple[str, ...] = ()  # ids of the interactions' other side that the text was made from
    sample: int = 0  # several answers to one question: each has a key of its own
    turn: int = 0  # 0 is the question itself, 1 and on are follow-ups to an answer that could not be used; same key
    correction: str = ""  # follow-up: what was wrong with the answer before
    room: int = 1  # follow-up: how many times the usual output limit is allowed
    part: int = 0  # of the subject; it is no part of the key

    @property
    def first_token(self) -> int:
        """How many likeliest first tokens are asked for: one token alone is then the answer; 0 for a whole answer.

        It stands in the answer's schema (`language_models.first_token`), so that it is in every key and every ledger.
        """
        return int(self.answer_schema.get("first_token", 0))

    def most_output(self, limit: int) -> int:
        """Tokens that the answer may have, where `limit` is the usual limit."""
        return 1 if self.first_token else limit * self.room

    def body(self) -> JSON:
        """The part of the prompt that decides the key; who it is about is in the text, not in the key."""
        asked = {
            "recipe": self.recipe,
            "version": self.version,
            "messages": [{"role": "system", "content": self.system}, {"role": "user", "content": self.user}],
            "answer_schema": self.answer_schema,
        }
        return {**asked, "sample": self.sample} if self.sample else asked

    def messages(self) -> list[dict[str, str]]:
        """What is sent: the question, and in a follow-up what was wrong with the answer before."""
        messages: list[dict[str, str]] = self.body()["messages"]
        return [*messages, {"role": "user", "content": self.correction}] if self.correction else messages

    def key(self, model: str, params: Mapping[str, JSON]) -> str:
        """Content key of the call: sha256 of canonical JSON of model, parameters (endpoint included) and body."""
        return sha256(canonical({"model": model, "params": dict(params), **self.body()}))


class KeyMaker:
    """`Prompt.key` for many prompts of one model and parameters, at about a quarter of the time.

    What stands before and after the user message in the canonical JSON is equal for all prompts of a recipe: it is
    written once, and the part before is hashed once.
    """

    MOST = 256  # different frames kept; a run has one per recipe

    def __init__(self, model: str, params: Mapping[str, JSON]) -> None:
        self._model, self._params = model, dict(params)
        self._write = json.JSONEncoder(ensure_ascii=False).encode
        self._frames: dict[tuple[str, str, str, int, int], _Frame] = {}

    def __call__(self, prompt: Prompt) -> str:
        """Equal to `prompt.key(model, params)`."""
        about = prompt.recipe, prompt.version, prompt.system, prompt.sample, id(prompt.answer_schema)
        frame = self._frames.get(about)
        if frame is None or frame.schema is not prompt.answer_schema:
            frame = self._frames[about] = self._frame(prompt)
        digest = frame.before.copy()
        digest.update((self._write(prompt.user) + frame.after).encode())
        return digest.hexdigest()

    def _frame(self, prompt: Prompt) -> _Frame:
        if len(self._frames) >= self.MOST:
            self._frames.clear()
        gap = "\ue000" + sha256(prompt.system)  # stands for the user message, and nowhere else
        whole = canonical({"model": self._model, "params": self._params, **replace(prompt, user=gap).body()})
        before, found, after = whole.partition(canonical(gap))
        assert found
        return _Frame(hashlib.sha256(before.encode()), after, prompt.answer_schema)


class _Frame(NamedTuple):
    before: hashlib._Hash  # of the text before the user message
    after: str
    schema: Mapping[str, JSON]  # held, so that no other schema can get its id


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer as it came back, before anything reads it."""

    key: str
    text: str
    finish_reason: str  # stop, length, content_filter, refusal, missing, error:<class> (not paid) or unknown:<class>
    input_tokens: int
    output_tokens: int
    cost_usd: float
    model: str
    latency_s: float
    cached_tokens: int = 0  # of the input tokens, those that the endpoint had in its cache
    turn: int = 0  # of the prompt that it answers

    @property
    def failed(self) -> bool:
        """No answer came and nothing was paid: the call may be made again."""
        return self.finish_reason.startswith("error:")

    @property
    def unknown(self) -> bool:
        """The call was sent and no answer came: it may have been paid."""
        return self.finish_reason.startswith("unknown:")


@dataclass(frozen=True, slots=True)
class ProfileRow:
    """One text that a recipe read out of an answer; `part` is the subject's, 0 where there is only one."""

    kind: Kind
    id: str
    recipe: str
    field: str
    text: str
    key: str
    part: int = 0


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
class GeneratedRow:
    """One item that an answer made up for a user, before it is looked up in the catalogue."""

    user_id: str
    recipe: str
    rank: int  # from 1
    title: str
    text: str
    key: str


Row = ProfileRow | EdgeRow | GeneratedRow


@dataclass(frozen=True, slots=True)
class Reject:
    """An answer or an input row that could not be used, and why."""

    key: str
    id: str
    reason: str
    detail: str
