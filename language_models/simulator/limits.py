"""Quotas: requests and tokens per minute in buckets that refill continuously, with OpenAI's x-ratelimit headers."""

from __future__ import annotations

import time
from collections.abc import Callable

from language_models.simulator.script import Script


class Bucket:
    """So many units per minute; holds the quota of `burst_s` seconds at most, and starts full."""

    def __init__(self, per_minute: int, burst_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_minute, self.rate, self.clock = per_minute, per_minute / 60, clock
        self.size = max(1.0, self.rate * burst_s)
        self.level, self.at = self.size, clock()

    def refill(self) -> None:
        now = self.clock()
        self.level = min(self.size, self.level + (now - self.at) * self.rate)
        self.at = now

    def wait_s(self, units: float) -> float:
        """Seconds until so many units are there; 0 when they are. More than the bucket holds wait for a full one."""
        self.refill()
        return max(0.0, min(units, self.size) - self.level) / self.rate

    def take(self, units: float) -> None:
        """More than the bucket holds leave it in debt."""
        self.level -= units

    @property
    def reset_s(self) -> float:
        return (self.size - self.level) / self.rate


class Limits:
    """The announced quotas and the hidden one."""

    def __init__(self, script: Script) -> None:
        self.replace(script)

    def replace(self, script: Script) -> None:
        """New quotas start with full buckets; those that stay as they were go on."""
        old, self.script = getattr(self, "script", None), script
        if old is not None and [_quota(old), _quota(script)] == [_quota(script), _quota(old)]:
            return
        self.requests = Bucket(script.rpm, script.burst_s) if script.rpm else None
        self.tokens = Bucket(script.tpm, script.burst_s) if script.tpm else None
        self.hidden = Bucket(script.hidden_rpm, script.burst_s) if script.hidden_rpm else None

    def admit(self, tokens: int) -> float:
        """Take a request of so many tokens, or take nothing and say after how many seconds there is room for it."""
        wait = max(
            self.requests.wait_s(1) if self.requests else 0.0,
            self.tokens.wait_s(tokens) if self.tokens else 0.0,
        )
        if wait == 0.0:
            if self.requests:
                self.requests.take(1)
            if self.tokens:
                self.tokens.take(tokens)
        return wait

    def admit_hidden(self) -> bool:
        if self.hidden is None:
            return True
        if self.hidden.wait_s(1) > 0:
            return False
        self.hidden.take(1)
        return True

    def headers(self) -> dict[str, str]:
        """x-ratelimit-{limit,remaining,reset}-{requests,tokens} for the quotas there are."""
        headers: dict[str, str] = {}
        for name, bucket in (("requests", self.requests), ("tokens", self.tokens)):
            if bucket is not None:
                bucket.refill()
                headers[f"x-ratelimit-limit-{name}"] = str(bucket.per_minute)
                headers[f"x-ratelimit-remaining-{name}"] = str(max(0, int(bucket.level)))
                headers[f"x-ratelimit-reset-{name}"] = duration(bucket.reset_s)
        return headers


def _quota(script: Script) -> tuple[int | None, int | None, int | None, float]:
    return script.rpm, script.tpm, script.hidden_rpm, script.burst_s


def duration(seconds: float) -> str:
    """As OpenAI writes it: `12ms`, `1.5s`, `6m0s`, `1h2m3s`."""
    if seconds < 1:
        return f"{max(0, round(seconds * 1000))}ms"
    if seconds < 60:
        return f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (f"{hours}h" if hours else "") + f"{minutes}m{rest}s"
