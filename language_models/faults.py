"""What a failed attempt means: was it paid, may it be tried again and when, or can no call succeed.

| seen | action | paid |
|---|---|---|
| no connection, no free connection in time | retry | no |
| silence or a reset after sending, a body that is no completion | unknown | perhaps |
| 408, 409, 5xx | retry | usually no |
| 429 | wait, as long as asked; no try is used up | no |
| 429 `insufficient_quota`, 402, 401, 403, unknown model, redirect | stop | no |
| any other 4xx | drop | no |
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from language_models.rate_headers import asked_wait
from schemas.records import JSON

Action = Literal[
    "again",  # at once: the next attempt will be another one
    "retry",  # not paid: after a pause, and it uses up one of llm.attempts
    "wait",  # not paid: the endpoint holds us back
    "unknown",  # sent, perhaps paid, and no answer came
    "drop",  # not paid, and no attempt will do better
    "stop",  # not paid, and no call of this run will do better
]

LONGEST_WAIT_S = 3600.0  # an endpoint that asks for more ends the run, which may go on then
DETAIL = 300  # characters of what came that are kept
BY_STATUS = {408: "timeout", 409: "conflict", 504: "server"}
STOPPING = {401: "the endpoint refused the key", 403: "the endpoint refused the key", 402: "the account has no credit"}
QUOTA = ("insufficient_quota", "billing_hard_limit_reached", "insufficient_balance")


@dataclass(frozen=True, slots=True)
class Fault:
    """One failed attempt. `reason` becomes `error:<reason>` or `unknown:<reason>` when the call is given up."""

    reason: str
    action: Action
    detail: str = ""  # what came, for people; never holds a key
    wait_s: float | None = None  # what the endpoint asked for
    headers: Mapping[str, str] = field(default_factory=dict)  # as of `limit_headers`
    unreachable: bool = False  # no connection was made at all
    outage: bool = False  # speaks against the endpoint as a whole, not against this call


class Failure(Exception):  # noqa: N818  an outcome of an attempt that the scheduler deals with, not an error of ours
    """Raised by `ChatConnection.send`: the attempt brought no completion."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(f"{fault.reason}: {fault.detail}")
        self.fault = fault


def fault_of_status(status: int, headers: Mapping[str, str], body: str) -> Fault:
    """The fault behind a response that is no success; `headers` as of `limit_headers`."""
    error = _error(body)
    detail = f"{status}: {_message(error, body)}"
    if (stopping := _stopping(status, error, headers)) is not None:
        return Fault("refused", "stop", f"{stopping} ({detail})")
    wait, advice = asked_wait(headers), headers.get("x-should-retry")
    if status == 429 and (wait or 0.0) > LONGEST_WAIT_S:
        return Fault("rate_limit", "stop", f"the endpoint asks to wait {wait:.0f} s; run again after that ({detail})")
    if status == 429:
        return Fault("rate_limit", "drop" if advice == "false" else "wait", detail, wait, headers)
    if status in BY_STATUS or status >= 500:
        reason, again = BY_STATUS.get(status, "server"), advice != "false"
        pause = min(wait, LONGEST_WAIT_S) if wait is not None else None
        return Fault(reason, "retry" if again else "drop", detail, pause, headers, outage=status >= 500)
    return Fault("bad_request", "retry" if advice == "true" else "drop", detail, headers=headers)


def fault_of_transport(error: Exception) -> Fault:
    """The fault behind an exception of aiohttp. Only what is known to come before sending counts as not paid.

    A reset on a kept connection may have come before the endpoint read a byte; nobody can tell, so it is unknown.
    """
    import aiohttp  # here, so that reading a fault needs no HTTP client

    unsent = aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL
    if isinstance(error, (*unsent, aiohttp.ClientHttpProxyError)):
        return Fault("connection", "retry", str(error)[:DETAIL], unreachable=True, outage=True)
    if isinstance(error, TimeoutError):
        return Fault("timeout", "unknown", "no answer within llm.timeout_s", outage=True)
    if isinstance(error, aiohttp.ClientResponseError):  # its text would name the request's headers
        return Fault("bad_response", "unknown", f"unreadable response: {error.message[:DETAIL]}", outage=True)
    return Fault("connection", "unknown", f"{type(error).__name__}: {error}"[:DETAIL], outage=True)


def bad_response(detail: str) -> Fault:
    """A success whose body is no chat completion; a gateway may have been paid for it all the same."""
    return Fault("bad_response", "unknown", f"expected a chat completion: {detail}"[:DETAIL], outage=True)


def _stopping(status: int, error: Mapping[str, JSON], headers: Mapping[str, str]) -> str | None:
    """Why no call can succeed, or None."""
    codes = {str(error.get("code")), str(error.get("type"))}
    if status == 429 and codes & set(QUOTA):
        return "the endpoint reports that the quota is used up"
    if status == 404 and "model_not_found" in codes:
        return "the endpoint does not know llm.model"
    if 300 <= status < 400:
        return f"the endpoint redirects to {headers.get('location', 'another address')}; correct llm.base_url"
    return STOPPING.get(status)


def _error(body: str) -> Mapping[str, JSON]:
    """The `error` object of a body, or an empty one."""
    try:
        parsed = json.loads(body)
    except ValueError:
        return {}
    error = parsed.get("error", parsed) if isinstance(parsed, dict) else None
    return error if isinstance(error, dict) else {}


def _message(error: Mapping[str, JSON], body: str) -> str:
    message = error.get("message")
    return (message if isinstance(message, str) else " ".join(body.split()))[:DETAIL]
