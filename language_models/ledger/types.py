"""What the ledger keeps and answers with (states: ARCHITECTURE, section 4)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from schemas.records import Prompt

State = Literal["planned", "leased", "responded", "parsed", "rejected", "published"]
BatchState = Literal["intended", "uploaded", "submitted", "ended", "landed"]


@dataclass(frozen=True, slots=True)
class Call:
    """The intent to make one call: its key, its prompt, who will be asked, and the most that it may weigh and cost."""

    key: str
    prompt: Prompt
    engine: str
    model: str
    reserved_usd: float = 0.0
    input_tokens: int = 0  # as estimated before sending; what calibration compares with the real figure
    endpoint: str = ""


@dataclass(slots=True)
class Granted:
    """What became of the calls that were to be leased, by key."""

    taken: list[str] = field(default_factory=list)  # may be sent now
    answered: list[str] = field(default_factory=list)  # another worker has had them answered meanwhile
    held: list[str] = field(default_factory=list)  # leased by a living worker or an open batch: look again later
    orphaned: list[str] = field(default_factory=list)  # leased by a worker that died: recover or abandon them first
    refused: list[str] = field(default_factory=list)  # could pass the cap


@dataclass(frozen=True, slots=True)
class Totals:
    """The money of a night, over all workers and modes, in US dollars, and the calls that may have been paid unseen."""

    spent_usd: float = 0.0  # for answers that came
    possible_usd: float = 0.0  # for calls that were sent and never answered; counts towards the cap
    reserved_usd: float = 0.0  # for calls in flight
    unknown: int = 0  # calls behind `possible_usd`


@dataclass(frozen=True, slots=True)
class Verdict:
    """How reading an answer went; `reason` is the reject's class."""

    key: str
    state: Literal["parsed", "rejected"]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """The latest call about a subject that brought an answer: what a plan compares tonight's prompt with."""

    id: str
    key: str
    version: str
    engine: str
    model: str
    endpoint: str
    user_sha256: str  # of the user message
    instruction: str  # digest of system message and answer schema


@dataclass(frozen=True, slots=True)
class Account:
    """Everything that is kept of a call: what was sent and what came. None is what the ledger does not have."""

    key: str
    recipe: str
    version: str
    kind: str
    id: str  # the subject that it was asked about first
    engine: str
    endpoint: str | None  # as it may be shown: no password
    model: str
    system: str
    user: str
    answer_schema: str  # JSON
    correction: str | None  # what the last follow-up said was wrong
    answers: tuple[str, ...]  # paid ones as they came, oldest first
    finish_reason: str | None  # of the last one, as all that follows
    answered_by: str | None  # the model that the endpoint named
    turns: int
    input_tokens: int  # of all answers, as the tokens and dollars that follow
    output_tokens: int
    cost_usd: float
    asked_at: float  # unix seconds
    answered_at: float | None


@dataclass(frozen=True, slots=True)
class Batch:
    """One file of requests at the Batch API. `id` is ours: it is in the provider's metadata and in the file name."""

    id: str
    state: BatchState
    endpoint: str
    model: str
    recipe: str
    night: str
    calls: int
    file_id: str | None = None
    provider_id: str | None = None
    submitted_at: float | None = None  # unix seconds; deadlines are measured from here
    detail: str = ""
