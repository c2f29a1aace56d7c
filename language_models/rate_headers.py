"""What an endpoint's headers say of its limits: `retry-after*` and OpenAI's `x-ratelimit-*`."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from math import isfinite

DIMENSIONS = ("requests", "tokens")
LIMITS = ("x-ratelimit-", "retry-after", "x-should-retry")
SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[smhd]))+")
PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])")
EPOCH_S = 1e9  # a number from here on is a moment and no duration


def limit_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Those headers that say something of limits, names in lower case.

    A `retry-after` that is a date becomes seconds from the response's own `date`: our clock may be wrong.
    """
    named = {name.lower(): value for name, value in headers.items()}
    said = {name: value for name, value in named.items() if name.startswith(LIMITS)}
    until, sent = _moment(said.get("retry-after", "")), _moment(named.get("date", ""))
    if until is not None and sent is not None:
        said["retry-after"] = f"{max(0.0, until - sent):.0f}"
    return said


def asked_wait(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait before the next attempt, None where nothing is said; headers as of `limit_headers`.

    `retry-after-ms` goes before `retry-after` (seconds or an HTTP date), and both before the reset of a used-up limit.
    """
    milliseconds = number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return max(0.0, milliseconds / 1000)
    after = headers.get("retry-after")
    if after is not None and (seconds := _seconds_or_date(after)) is not None:
        return seconds
    used_up = [name for name in DIMENSIONS if number(headers.get(f"x-ratelimit-remaining-{name}")) == 0]
    resets = [duration(headers.get(f"x-ratelimit-reset-{name}")) for name in used_up]
    return max((reset for reset in resets if reset is not None), default=None)


def duration(text: str | None) -> float | None:
    """Seconds of `120ms`, `1s`, `6m0s`, `1h2m3.5s`, or of a bare number of seconds; None for anything else."""
    if text is None:
        return None
    if DURATION.fullmatch(text):
        return sum(float(amount) * SECONDS[unit] for amount, unit in PART.findall(text))
    seconds = number(text)
    return seconds if seconds is not None and 0 <= seconds < EPOCH_S else None


def number(text: str | None) -> float | None:
    """A finite number, or None for anything else."""
    try:
        value = float(text) if text is not None else None
    except ValueError:
        return None
    return value if value is not None and isfinite(value) else None


def _seconds_or_date(text: str) -> float | None:
    if (seconds := number(text)) is not None:
        return max(0.0, seconds)
    until = _moment(text)
    return max(0.0, until - time.time()) if until is not None else None


def _moment(text: str) -> float | None:
    """Unix seconds of an HTTP date; None where it has no form that the standard knows: our own backoff decides."""
    try:
        return parsedate_to_datetime(text).timestamp()
    except ValueError:
        return None
