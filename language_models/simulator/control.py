"""/health, /v1/models, /stats and /faults: what a rehearsal is watched and steered by."""

from __future__ import annotations

import json

from aiohttp import web

from language_models.simulator.chat import Chat
from language_models.simulator.responses import read_object, refuse, reply
from language_models.simulator.script import make_script
from schemas.errors import ConfigError
from schemas.records import JSON

MODELS = ("simulated", "gpt-4o-mini", "text-embedding-3-small")
PART = 10_000  # entries of /stats?keys=1 that are written together


async def health(_: web.Request) -> web.Response:
    """GET /health."""
    return reply({"status": "ok"})


async def models(_: web.Request) -> web.Response:
    """GET /v1/models; a request may name any other model as well."""
    data = [{"id": name, "object": "model", "created": 0, "owned_by": "loregraph"} for name in MODELS]
    return reply({"object": "list", "data": data})


class Control:
    """The counts and the script of a chat endpoint."""

    def __init__(self, chat: Chat) -> None:
        self.chat, self.counting = chat, chat.counting

    async def stats(self, request: web.Request) -> web.StreamResponse:
        """GET /stats; with ?keys=1 also how often each request and each first user message was paid."""
        self.counting.flush()
        if "keys" not in request.query:
            return reply(self.counting.to_json())
        counted = {"keys": self.counting.requests_paid, "messages": self.counting.messages_paid}
        return await _stream(request, self.counting.to_json(), counted)

    async def reset(self, _: web.Request) -> web.Response:
        """POST /stats/reset: counts start anew; answers, files and batches stay."""
        self.counting.reset()
        return reply({})

    async def show(self, _: web.Request) -> web.Response:
        """GET /faults."""
        return reply(self.chat.faults.script.model_dump())

    async def replace(self, request: web.Request) -> web.Response:
        """POST /faults: go on by this script, with defaults for what it does not name."""
        return self._take(await read_object(request), {})

    async def change(self, request: web.Request) -> web.Response:
        """PATCH /faults: change what is named, keep the rest."""
        return self._take(await read_object(request), self.chat.faults.script.model_dump())

    def _take(self, given: JSON, base: JSON) -> web.Response:
        try:
            script = make_script({**base, **given})
        except (ConfigError, ValueError, TypeError) as error:
            return refuse(400, str(error))
        self.chat.faults.replace(script)
        self.chat.limits.replace(script)
        return reply(script.model_dump())


async def _stream(request: web.Request, head: JSON, counted: dict[str, dict[bytes, int]]) -> web.StreamResponse:
    """`head` with one object of counts by hex digest per name, written piece by piece."""
    response = web.StreamResponse(headers={"content-type": "application/json"})
    await response.prepare(request)
    await response.write(json.dumps(head)[:-1].encode())
    for name, counts in counted.items():
        await response.write(f',"{name}":{{'.encode())
        entries = list(counts.items())  # calls go on being counted while this is written
        for start in range(0, len(entries), PART):
            part = ",".join(f'"{digest.hex()}":{count}' for digest, count in entries[start : start + PART])
            await response.write(("," * (start > 0) + part).encode())
        await response.write(b"}")
    await response.write(b"}")
    return response
