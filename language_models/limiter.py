"""Requests and tokens per minute: continuous refill, a reservation per call that is settled with what was used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

from language_models.faults import LONGEST_WAIT_S
from language_models.rate_headers import DIMENSIONS, duration, number
from schemas.errors import EngineError
from schemas.sections import Llm

SHARE = 0.975  # of a quota that is used; what is left is for answers longer than expected and clocks that differ
BURST_S = 1.0  # the quota of so many seconds may be used at once
WEIGHT = 0.05  # of the newest answer in the mean of output tokens
STREAK = 4  # 429s that ask for a wait, with no answer between them: the whole account is limited
PATIENCE_S = 900.0  # of nothing but 429s, before the run is given up


class Bucket:
    """One limit per minute. Starts with the quota of `BURST_S`, and never holds more."""

    def __init__(self, per_minute: float, now: float) -> None:
        self.per_minute, self.rate = per_minute, SHARE * per_minute / 60
        self.size = max(1.0, self.rate * BURST_S)
        self.level, self._at = self.size, now

    def ready_at(self, now: float, amount: float) -> float:
        """When so much is there; more than the bucket holds waits for a full one, and leaves it in debt."""
        self._refill(now)
        missing = min(amount, self.size) - self.level
        return now if missing <= 1e-9 else now + missing / self.rate

    def take(self, now: float, amount: float) -> None:
        """Use, or with a negative amount give back."""
        self._refill(now)
        self.level = min(self.size, self.level - amount)

    def clip(self, now: float, most: float) -> None:
        """The endpoint says that there is no more than this."""
        self._refill(now)
        self.level = min(self.level, most)

    def _refill(self, now: float) -> None:
        self.level = min(self.size, self.level + (now - self._at) * self.rate)
        self._at = now


@dataclass(frozen=True, slots=True)
class Ticket:
    """What was reserved for a call, and when."""

    at: float
    tokens: float | None  # None where tokens were not counted yet


class Limiter:
    """Says when a call may be sent. Limits are the run file's, else the `x-ratelimit-limit-*` of the endpoint."""

    def __init__(self, llm: Llm, now: float) -> None:
        self._configured = {"requests": llm.requests_per_minute, "tokens": llm.tokens_per_minute}
        self._buckets = {name: Bucket(limit, now) for name, limit in self._configured.items() if limit is not None}
        self._output = float(llm.max_output_tokens)  # expected of an answer
        self._answers = 0
        self._held_until = -inf
        self._streak: list[float] = []  # when the waits asked for end, since the last answer
        self._limited_since = inf

    @property
    def counts_tokens(self) -> bool:
        """Whether the tokens of a prompt matter."""
        return "tokens" in self._buckets

    def per_minute(self, name: str) -> float | None:
        """The limit of `requests` or `tokens`, None where none is known."""
        return self._buckets[name].per_minute if name in self._buckets else None

    def ready_at(self, now: float, input_tokens: int) -> float:
        """When a call with so many input tokens may be sent; `now` or later."""
        ready = max(now, self._held_until)
        for name, bucket in self._buckets.items():
            ready = max(ready, bucket.ready_at(now, self._amount(name, input_tokens)))
        return ready

    def reserve(self, now: float, input_tokens: int) -> Ticket:
        for name, bucket in self._buckets.items():
            bucket.take(now, self._amount(name, input_tokens))
        return Ticket(now, input_tokens + self._output if self.counts_tokens else None)

    def answered(self, now: float, ticket: Ticket, input_tokens: int, output_tokens: int) -> None:
        """Settle a reservation with what the answer really used."""
        self._answers += 1
        self._output += max(WEIGHT, 1 / self._answers) * (output_tokens - self._output)
        self._streak.clear()
        self._limited_since = inf
        self._settle(now, ticket, input_tokens + output_tokens)

    def failed(self, now: float, ticket: Ticket) -> None:
        """Give back the tokens of a call that used none."""
        self._settle(now, ticket, 0)

    def limited(self, now: float, wait_s: float | None) -> None:
        """A 429. Several waits in a row with no answer between them hold everything back for the shortest of them.

        Raises EngineError where 429s are all that has come for a quarter of an hour.
        """
        self._limited_since = min(self._limited_since, now)
        patience = max(PATIENCE_S, 3 * (wait_s or 0.0))
        if now - self._limited_since > patience:
            raise EngineError(f"the endpoint answered 429 to every call for {patience:.0f} s; run again later")
        if wait_s is None:
            return
        self._streak.append(now + wait_s)
        if len(self._streak) >= STREAK:
            self._held_until = max(self._held_until, min(self._streak))
            self._streak.clear()

    def observe(self, now: float, ticket: Ticket, headers: Mapping[str, str]) -> None:
        """Learn from the headers of a response; what they say was true when the call was sent."""
        for name in DIMENSIONS if headers else ():
            limit = number(headers.get(f"x-ratelimit-limit-{name}"))
            if limit and self._configured[name] is None and self.per_minute(name) != limit:
                self._buckets[name] = Bucket(limit, now)
            if (remaining := number(headers.get(f"x-ratelimit-remaining-{name}"))) is not None:
                self._remaining(now, name, ticket.at, remaining)
                if remaining == 0 and (reset := duration(headers.get(f"x-ratelimit-reset-{name}"))) is not None:
                    self._held_until = max(self._held_until, ticket.at + min(reset, LONGEST_WAIT_S))

    def _remaining(self, now: float, name: str, at: float, remaining: float) -> None:
        if (bucket := self._buckets.get(name)) is not None:
            bucket.clip(now, remaining + (now - at) * bucket.rate)

    def _amount(self, name: str, input_tokens: int) -> float:
        return 1.0 if name == "requests" else input_tokens + self._output

    def _settle(self, now: float, ticket: Ticket, used: int) -> None:
        if ticket.tokens is not None:
            self._buckets["tokens"].take(now, used - ticket.tokens)
