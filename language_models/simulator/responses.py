"""Responses in the shape of the OpenAI API."""

from __future__ import annotations

import json
from collections.abc import Mapping

from aiohttp import web

from schemas.records import JSON

JSON_TYPE = "application/json"
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


def page(request: web.Request, entries: Mapping[str, JSON], most: int) -> web.Response:
    """The entries behind `after`, at most `limit` of them (at most `most`), as a page with a cursor."""
    ids, after = list(entries), request.query.get("after")
    if after is not None:
        ids = ids[ids.index(after) + 1 :] if after in entries else []
    shown = ids[: min(most, int(request.query.get("limit", most)))]
    first, last = (shown[0], shown[-1]) if shown else (None, None)
    data = [entries[id] for id in shown]
    return reply(
        {"object": "list", "data": data, "first_id": first, "last_id": last, "has_more": len(shown) < len(ids)}
    )


def cut_off(request: web.Request) -> web.Response:
    """Reset the connection; what is returned goes nowhere."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=CUT_OFF)
