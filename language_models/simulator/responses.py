"""Responses in the shape of the OpenAI API."""

from __future__ import annotations

import json
from collections.abc import Mapping

from aiohttp import web

from schemas.records import JSON

JSON_TYPE = "application/json"
MOST_LABELS, LONGEST_LABEL = 16, 512  # of metadata
CUT_OFF = 499  # how a response that never left is counted (nginx writes the same)


def reply(value: JSON, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(body=json.dumps(value).encode(), content_type=JSON_TYPE, headers=headers)


def refuse(
    status: int, message: str, code: str | None = None, headers: Mapping[str, str] | None = None, kind: str = ""
) -> web.Response:
    """An error; `kind` is OpenAI's `type`."""
    body = json.dumps(error_body(status, message, code, kind)).encode()
    return web.Response(status=status, body=body, content_type=JSON_TYPE, headers=headers)


def error_body(status: int, message: str, code: str | None = None, kind: str = "") -> JSON:
    kind = kind or ("server_error" if status >= 500 else "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


async def read_object(request: web.Request) -> JSON:
    """The JSON object of a body. Raises ValueError where it is none, or too deep to be read."""
    try:
        found = json.loads(await request.read())
    except RecursionError:
        raise ValueError("the body is nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError(f"expected a JSON object, found {type(found).__name__}")  # noqa: TRY004  what came is a value
    return found


def read_metadata(body: Mapping[str, JSON]) -> dict[str, str] | None:
    """Labels of a completion or batch, as few and as short as OpenAI takes them. Raises ValueError for others."""
    found = body.get("metadata")
    if found is None:
        return None
    few = isinstance(found, dict) and len(found) <= MOST_LABELS
    if not few or not all(isinstance(each, str) and len(each) <= LONGEST_LABEL for each in found.values()):
        raise ValueError(f"metadata: expected at most {MOST_LABELS} texts of at most {LONGEST_LABEL} characters")
    return dict(found)


def page(request: web.Request, entries: Mapping[str, JSON], most: int) -> web.Response:
    """The entries behind `after`, at most `limit` of them (at most `most`), as a page with a cursor."""
    ids, after = list(entries), request.query.get("after")
    if after is not None:
        ids = ids[ids.index(after) + 1 :] if after in entries else []
    shown = ids[: min(most, limit_of(request, most))]
    first, last = (shown[0], shown[-1]) if shown else (None, None)
    data = [entries[id] for id in shown]
    return reply(
        {"object": "list", "data": data, "first_id": first, "last_id": last, "has_more": len(shown) < len(ids)}
    )


def limit_of(request: web.Request, default: int) -> int:
    """Entries of a page that are asked for. Raises ValueError for what is no number of at least 1."""
    given = request.query.get("limit", str(default))
    if not given.isascii() or not given.isdigit() or not 0 < len(given) < 10 or int(given) < 1:
        raise ValueError(f"limit: expected a whole number of at least 1, found {given[:40]!r}")
    return int(given)


def cut_off(request: web.Request) -> web.Response:
    """Reset the connection; what is returned goes nowhere."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=CUT_OFF)
