"""Asking an endpoint a question that costs nothing, within a time limit, and sending the key nowhere else."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import IO, Any

from language_models.rate_headers import limit_headers

MOST_BYTES = 4 * 2**20  # of an answer


@dataclass(frozen=True)
class Answer:
    """What came: a status and its body, or what went wrong. No part of it holds the key."""

    status: int = 0  # 0: no whole answer came
    body: Any = None  # JSON, or None where it is none
    limits: Mapping[str, str] = field(default_factory=dict)
    date: datetime | None = None
    problem: str = ""
    redirect: str = ""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the key to another address."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> None:
        del req, fp, code, msg, headers, newurl


def ask(url: str, key: str, limit_s: float, body: Mapping[str, Any] | None = None) -> Answer:
    """GET, or POST where there is a body; back after `limit_s` seconds whatever the endpoint does."""
    found: list[Answer] = []
    thread = threading.Thread(target=lambda: found.append(_asked(url, key, limit_s, body)), daemon=True)
    thread.start()
    thread.join(limit_s)
    answer = found[0] if found else Answer(problem=f"no answer within {limit_s:g} s")
    return answer if not key else _without(answer, key)


def _asked(url: str, key: str, limit_s: float, body: Mapping[str, Any] | None) -> Answer:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    data = None if body is None else json.dumps(body).encode()
    try:
        request = urllib.request.Request(url, data=data, headers={**headers, "Content-Type": "application/json"})
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=limit_s) as response:
            return _read(response.status, response.headers, response)
    except urllib.error.HTTPError as error:
        with error:
            return _read(error.code, error.headers, error)
    except TimeoutError:
        return Answer(problem=f"no answer within {limit_s:g} s")
    except urllib.error.URLError as error:
        reason = error.reason
        if isinstance(reason, TimeoutError):
            return Answer(problem=f"no answer within {limit_s:g} s")
        if isinstance(reason, ssl.SSLError):
            return Answer(problem=f"TLS: {reason.reason or reason}")
        return Answer(problem=str(getattr(reason, "strerror", None) or reason))
    except (OSError, http.client.HTTPException, ValueError) as error:
        return Answer(problem=f"{type(error).__name__}: {error}"[:200])


def _read(status: int, headers: Message, response: Any) -> Answer:
    content = response.read(MOST_BYTES)
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        body = None
    return Answer(
        status,
        body,
        limit_headers(dict(headers.items())),
        _date(headers.get("date", "")),
        redirect=headers.get("location", ""),
    )


def _date(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(text).astimezone(UTC)
    except ValueError:
        return None


def _without(answer: Answer, key: str) -> Answer:
    """Some endpoints echo the key."""
    body = answer.body
    if body is not None and key in (text := json.dumps(body)):
        body = json.loads(text.replace(key, "***"))
    limits = {name: value.replace(key, "***") for name, value in answer.limits.items()}
    return Answer(
        answer.status,
        body,
        limits,
        answer.date,
        answer.problem.replace(key, "***"),
        answer.redirect.replace(key, "***"),
    )
