"""What a batch has brought, line by line into the ledger: joined by `custom_id`, counted once, in groups."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from language_models.batch.requests import Line, custom_id, read_line
from language_models.chat_format import read_completion
from language_models.inquiry import Counts
from language_models.ledger import Batch, Call, Ledger
from schemas.chunks import chunks
from schemas.records import Completion
from schemas.sections import Llm

GROUP = 256  # lines per ledger transaction
DETAIL = 300  # characters kept of why there is no answer
log = logging.getLogger(__name__)


@dataclass(slots=True)
class Landing:
    """One batch's files on their way into the ledger. Rows that are there already, after a crash, are passed over."""

    batch: Batch
    ledger: Ledger
    llm: Llm
    counts: Counts
    checkpoint: Callable[[str], None]
    calls: dict[str, Call] = field(init=False)  # by custom_id; those that have had no line so far
    in_form: bool = field(init=False)  # whether a response format was asked for: one token has none
    answers: int = 0
    failed: dict[str, str] = field(default_factory=dict)  # key -> error class
    strangers: int = 0  # lines for calls that were never made, and lines that cannot be read

    def __post_init__(self) -> None:
        self.calls = {custom_id(call): call for call in self.ledger.leased_by(self.batch.id)}
        self.in_form = not all(call.prompt.first_token for call in self.calls.values())

    def take(self, lines: Iterable[bytes]) -> None:
        """Keep what an output or error file says."""
        for group in chunks(lines, GROUP):
            read = [read_line(line) for line in group if line.strip()]
            self._respond([line for line in read if line is not None])
            self.strangers += read.count(None)

    @property
    def remark(self) -> str:
        """What the ledger keeps about the landing beside its rows."""
        return f", {self.strangers} lines that belong to no call" if self.strangers else ""

    def finish(self, status: str) -> None:
        """Free the rows that the provider did not reach; one that it forgot, though it completed, has failed."""
        forgotten = list(self.calls.values()) if status == "completed" else []
        for some in chunks(forgotten, GROUP):
            self._keep([_without_answer(call, "error:no_line", "completed without a line for it") for call in some])
        self.ledger.release([call.key for call in self.calls.values()])
        if self.strangers:
            log.warning(
                "batch %s (%s): %d lines belong to no call of ours or cannot be read, and were not counted; the "
                "provider keeps them in its output and error files",
                self.batch.id, self.batch.provider_id, self.strangers,
            )  # fmt: skip

    def _respond(self, lines: Sequence[Line]) -> None:
        completions, others = [], []
        for line in lines:
            call = self.calls.pop(line.custom_id, None) if line.reached else self.calls.get(line.custom_id)
            if call is None:
                others.append(line.custom_id.rpartition("-")[0])
            elif line.reached:
                completions.append(self._completion(call, line))
        self._keep(completions)
        if others:  # lines that come twice, or had landed before a crash, or were never asked for
            known = {call.key for call in self.ledger.calls(others)}
            self.strangers += sum(key not in known for key in others)

    def _completion(self, call: Call, line: Line) -> Completion:
        if line.reason:
            return _without_answer(call, f"error:{line.reason}", line.detail)
        try:
            return read_completion(call.key, call.prompt, line.body, self.llm, 0.0, batch=True)
        except ValueError as error:  # paid, and of no form that tells what it cost
            return _without_answer(call, "unknown:bad_response", str(error))

    def _keep(self, completions: Sequence[Completion]) -> None:
        if not completions:
            return
        self.ledger.land(self.batch.id, completions)
        for completion in completions:
            if completion.failed:
                self.failed[completion.key] = completion.finish_reason.removeprefix("error:")
            else:
                self.counts.add(completion)
                self.answers += not completion.unknown
        self.checkpoint("responded")


def _without_answer(call: Call, reason: str, detail: str) -> Completion:
    return Completion(call.key, detail[:DETAIL], reason, 0, 0, 0.0, call.model, 0.0, turn=call.prompt.turn)
