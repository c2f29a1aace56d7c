"""The two things that a scheduler and its owner share: a desk for calls, and a status to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from schemas.records import Completion, Prompt


class Desk(Protocol):
    """Where calls come from and answers go. A prompt that was taken is brought or put back, and that once."""

    async def take(self, most: int) -> Sequence[Prompt]:
        """Prompts that may be sent now; waits until there is one; none when no more will ever come.

        It is cancelled if it still waits a second after the run was stopped or ended by an error.
        """
        ...

    def bring(self, completion: Completion) -> None:
        """An answer, `error:<class>` (given up, not paid) or `unknown:<class>` (perhaps paid)."""
        ...

    def put_back(self, prompts: Sequence[Prompt]) -> None:
        """The run ends, and these were not sent, or sent and certainly not paid."""
        ...


@dataclass(slots=True)
class Status:
    """What a scheduler is doing, for people to look at; it changes while a run goes on."""

    in_flight: int = 0
    window: int = 0  # calls that may be in flight
    waiting: int = 0  # for their next attempt
    attempts: int = 0
    retried: int = 0  # attempts that failed without cost and are repeated
    rate_limited: int = 0  # attempts that a 429 came back for
    unknown: int = 0  # attempts that may have been paid and brought no answer
    recovered: int = 0  # of them, those whose answer was found
    breaker: str = "closed"
    requests_per_minute: float | None = None  # None: no limit is known
    tokens_per_minute: float | None = None
