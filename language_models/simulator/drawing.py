"""Seeded draws: which fault strikes a request, decided by a hash, so that no order and no clock changes it."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from hashlib import blake2b
from statistics import NormalDist

from language_models.simulator.script import ANSWER, TRANSPORT, Script

NORMAL = NormalDist()


class Faults:
    """A script at work: it draws, and remembers how often each fault has struck and when the script began."""

    def __init__(self, script: Script, on_strike: Callable[[str], None]) -> None:
        """`on_strike` is told of every fault that strikes."""
        self.on_strike = on_strike
        self.replace(script)

    def replace(self, script: Script) -> None:
        """Go on by another script; the clock of its capacity schedule and the counts of `most` start anew."""
        self.script = script
        self.struck: Counter[str] = Counter()
        self.began = time.monotonic()
        self._events: Counter[str] = Counter()
        self._quiet_attempts = not any(getattr(script, name) for name in TRANSPORT)
        self._quiet_answers = not any(getattr(script, name) for name in ANSWER)

    def of_attempt(self, request: bytes, attempt: int) -> str | None:
        """The fault that strikes one HTTP request."""
        if self._quiet_attempts:
            return None
        return self._struck(self._one_of(TRANSPORT, b"attempt%d" % attempt, request))

    def of_answer(self, question: bytes) -> str | None:
        """The fault of the answer to a question, the same in whatever order it is asked; `strike` when it is given."""
        return None if self._quiet_answers else self._one_of(ANSWER, b"answer", question)

    def of_follow_up(self, question: bytes) -> bool:
        """Whether the fault of a question's answer meets its follow-up as well."""
        return self._uniform(b"again", question) < self.script.again

    def biased(self, question: bytes) -> bool:
        """Whether the answer to a question goes by the positions of what is offered (`position_bias`)."""
        return bool(self.script.position_bias) and self._uniform(b"bias", question) < self.script.position_bias

    def of_row(self, name: str, row: bytes) -> bool:
        """Whether a row of a batch is struck by `expire_share`, `row_error_share` or `duplicate_lines`."""
        share: float = getattr(self.script, name)
        return bool(share) and self._uniform(name.encode(), row) < share and self._struck(self._left(name)) is not None

    def of_event(self, *names: str) -> str | None:
        """The fault, one of `names`, that strikes the next event (upload, creation, poll, download) of its kind."""
        self._events[names[0]] += 1
        return self._struck(self._one_of(names, b"event", f"{names[0]} {self._events[names[0]]}".encode()))

    def strike(self, fault: str) -> None:
        """The fault of an answer, "" for none, strikes now."""
        self._struck(fault or None)

    def latency_s(self, request: bytes, attempt: int, output_tokens: int) -> float:
        """Seconds until the answer is complete."""
        script = self.script
        seconds = script.latency
        if seconds and script.latency_spread:
            sigma = script.latency_spread
            drawn = NORMAL.inv_cdf(self._uniform(b"latency%d" % attempt, request) * 0.999998 + 1e-6)
            seconds *= math.exp(sigma * drawn - sigma * sigma / 2)  # the mean stays script.latency
        return seconds + (output_tokens / script.tokens_per_second if script.tokens_per_second else 0.0)

    def capacity(self) -> int | None:
        """How many requests may be in flight now, or None for any number."""
        now, capacity = time.monotonic() - self.began, self.script.hidden_capacity
        for start, size in self.script.capacity:
            if now >= start:
                capacity = size
        return capacity

    def status(self, request: bytes) -> int:
        """Which server error it is."""
        return (500, 502, 503)[int(self._uniform(b"status", request) * 3)]

    def _one_of(self, names: Sequence[str], kind: bytes, subject: bytes) -> str | None:
        drawn = self._uniform(kind, subject)
        for name in names:
            drawn -= getattr(self.script, name)
            if drawn < 0:
                return self._left(name)
        return None

    def _left(self, name: str) -> str | None:
        """The fault, unless it has struck as often as it may."""
        return name if self.struck[name] < self.script.most.get(name, math.inf) else None

    def _struck(self, fault: str | None) -> str | None:
        if fault is not None:
            self.struck[fault] += 1
            self.on_strike(fault)
        return fault

    def _uniform(self, kind: bytes, subject: bytes) -> float:
        """A number in [0, 1) for a kind of draw and a subject."""
        digest = blake2b(b"%d|%b|%b" % (self.script.seed, kind, subject), digest_size=7).digest()
        return int.from_bytes(digest, "big") / 2**56
