"""The calls that a scheduler holds: those taken ahead, and those that wait for their next attempt."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count
from math import inf

from language_models.limiter import Ticket
from schemas.records import Prompt

UNRESERVED = Ticket(0.0, None)


@dataclass(slots=True, eq=False)
class Call:
    """A prompt on its way, and what has become of it so far."""

    prompt: Prompt
    ticket: Ticket = UNRESERVED
    tokens: int = 0  # of the input, where they matter
    probe: bool = False  # the one call that an open breaker lets through
    tries: int = 0  # failed attempts that count
    failures: int = 0  # all failed attempts, for the backoff
    limited: int = 0  # 429s
    lost: str = ""  # the reason of an attempt that may have been paid
    sent: bool = False  # the attempt under way has begun
    done: bool = False  # brought to the desk


class CallQueue:
    """Calls whose pause is over go first, the longest waiting before all; then those taken ahead."""

    def __init__(self) -> None:
        self._fresh: deque[Call] = deque()
        self._waiting: list[tuple[float, int, Call]] = []  # heap of (ready at, order, call)
        self._order = count()

    @property
    def fresh(self) -> int:
        """Calls that were never sent."""
        return len(self._fresh)

    @property
    def waiting(self) -> int:
        """Calls that wait for their next attempt."""
        return len(self._waiting)

    @property
    def next_ready_at(self) -> float:
        """When the first waiting call may be sent, `inf` without one."""
        return self._waiting[0][0] if self._waiting else inf

    def __bool__(self) -> bool:
        return bool(self._fresh or self._waiting)

    def add(self, prompts: Iterable[Prompt]) -> None:
        self._fresh.extend(Call(prompt) for prompt in prompts)

    def wait(self, call: Call, until: float) -> None:
        heapq.heappush(self._waiting, (until, next(self._order), call))

    def peek(self, now: float) -> Call | None:
        """The next call that may be sent as far as it is concerned."""
        if self._waiting and self._waiting[0][0] <= now:
            return self._waiting[0][2]
        return self._fresh[0] if self._fresh else None

    def pop(self, now: float) -> None:
        """Take out the call that `peek` shows."""
        if self._waiting and self._waiting[0][0] <= now:
            heapq.heappop(self._waiting)
        else:
            self._fresh.popleft()

    def clear(self) -> list[Call]:
        """Take out all."""
        left = [call for _, _, call in sorted(self._waiting, key=lambda entry: entry[:2])] + list(self._fresh)
        self._waiting.clear()
        self._fresh.clear()
        return left
