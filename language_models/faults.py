"""What a failed call to an OpenAI-compatible endpoint means: try again and when, give this call up, or stop the run."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import aiohttp
import openai

from schemas.errors import EngineError

LONGEST_WAIT_S = 120.0
BY_STATUS = {408: "timeout", 409: "conflict", 429: "rate_limit"}


@dataclass(frozen=True)
class Fault:
    """One failed attempt. `reason` becomes `error:<reason>` when the call is given up."""

    reason: str
    retry: bool
    detail: str
    wait_s: float | None = None  # what the endpoint asked for
    unreachable: bool = False  # no connection was made at all


def diagnose(error: openai.OpenAIError | ValueError) -> Fault:
    """The fault behind an error of the client, or of reading a body that is not a chat completion.

    Raises EngineError where no later call can succeed: 401, 403, and 429 with `insufficient_quota`.
    """
    if isinstance(error, openai.APIStatusError):
        return _of_status(error)
    if isinstance(error, openai.APIConnectionError):
        return _of_connection(error)
    return Fault("bad_response", True, f"expected a chat completion: {type(error).__name__}: {error}")


def _of_connection(error: openai.APIConnectionError) -> Fault:
    """The transport calls a reset and a refusal a timeout too, so the first cause decides."""
    causes: list[BaseException] = [error]
    while (cause := causes[-1].__cause__) is not None:
        causes.append(cause)
    if any(isinstance(cause, aiohttp.ClientConnectorError) for cause in causes):
        return Fault("connection", True, str(causes[-1]), unreachable=True)
    if isinstance(causes[-1], TimeoutError):  # aiohttp's own timeouts are among them
        return Fault("timeout", True, "no answer within llm.timeout_s")
    return Fault("connection", True, f"{type(causes[-1]).__name__}: {causes[-1]}")


def _of_status(error: openai.APIStatusError) -> Fault:
    status, headers = error.status_code, error.response.headers
    if status in (401, 403):
        raise EngineError(f"the endpoint refused the key ({status})") from None
    if "insufficient_quota" in (error.code, error.type):
        raise EngineError(f"the endpoint reports that the quota is used up ({status} insufficient_quota)") from None
    detail = f"{status}: {_message(error)}"
    if status in BY_STATUS or status >= 500:
        asked = headers.get("x-should-retry") != "false"
        return Fault(BY_STATUS.get(status, "server"), asked, detail, wait_s=_wait(headers))
    return Fault("bad_request", False, detail)


def _message(error: openai.APIStatusError) -> str:
    body = error.body
    text = body.get("message") if isinstance(body, dict) else body
    return (text if isinstance(text, str) else json.dumps(body, default=str))[:300]


def _wait(headers: Mapping[str, str]) -> float | None:
    """Seconds that `retry-after-ms` or `retry-after` (seconds or an HTTP date) asks for, at most `LONGEST_WAIT_S`."""
    milliseconds, after = headers.get("retry-after-ms"), headers.get("retry-after")
    try:
        if milliseconds is not None:
            seconds = float(milliseconds) / 1000
        elif after is not None:
            seconds = float(after) if after.replace(".", "", 1).isdigit() else _until(after)
        else:
            return None
    except ValueError:
        return None  # not a form that the standard knows: our own backoff decides
    return min(max(seconds, 0.0), LONGEST_WAIT_S)


def _until(date: str) -> float:
    return parsedate_to_datetime(date).timestamp() - time.time()
