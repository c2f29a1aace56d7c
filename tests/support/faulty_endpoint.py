"""A real OpenAI-compatible endpoint on a loopback port, in a thread of its own, with faults that a test scripts."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from aiohttp import web

from tests.support.serving import serving

ANSWER = '{"summarization": "People who enjoy tests.", "reasoning": "said so"}'
Respond = Callable[[dict, int], "web.StreamResponse | str"]


def chat(text: str = ANSWER, finish_reason: str = "stop", refusal: str | None = None, **headers: str) -> web.Response:
    return web.json_response(completion(text, finish_reason, refusal), headers=_dashed(headers))


def completion(text: str = ANSWER, finish_reason: str = "stop", refusal: str | None = None) -> dict:
    message = {"role": "assistant", "content": None if refusal else text, "refusal": refusal}
    choice = {"index": 0, "message": message, "finish_reason": finish_reason}
    usage = {"prompt_tokens": 100, "completion_tokens": 20, "prompt_tokens_details": {"cached_tokens": 64}}
    return {"choices": [choice], "usage": usage}


def refuse(status: int, code: str | None = None, message: str = "no", **headers: str) -> web.Response:
    body = {"error": {"message": message, "code": code, "type": None}}
    return web.json_response(body, status=status, headers=_dashed(headers))


def _dashed(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


class Endpoint:
    """`respond(body, attempt)` says what the attempt-th call of a user message gets.

    A response, `hang`, `reset` (no byte of an answer comes) or `cut` (half of one does). `stored` is what a listing of
    stored completions shows.
    """

    def __init__(self, respond: Respond) -> None:
        self.respond = respond
        self.attempts: Counter[str] = Counter()  # by user message
        self.bodies: list[dict] = []
        self.authorizations: set[str] = set()
        self.headers: list[dict[str, str]] = []
        self.stored: list[dict] = []
        self.listed: list[dict[str, str]] = []  # queries
        self.connections: set[int] = set()
        self.in_flight = self.most_in_flight = 0
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.text())
        self.bodies.append(body)
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        self.authorizations.add(request.headers["authorization"])
        self.connections.add(id(request.transport))
        message = body["messages"][-1]["content"]
        self.attempts[message] += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(0.01)
            said = self.respond(body, self.attempts[message])
            if said == "hang":
                await asyncio.sleep(30)
            if said == "reset":
                request.transport.abort()
                return web.Response()
            if said == "cut":
                return await _cut(request)
            return said
        finally:
            self.in_flight -= 1

    async def show_all(self, request: web.Request) -> web.Response:
        self.listed.append(dict(request.query))
        return web.json_response({"object": "list", "data": self.stored, "has_more": False})


async def _cut(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-length": "1000"})
    await response.prepare(request)
    await response.write(b'{"choices": [')
    await asyncio.sleep(0.01)
    request.transport.abort()
    return response


@contextmanager
def endpoint(respond: Respond) -> Iterator[Endpoint]:
    """Serve until the block ends."""
    served, app = Endpoint(respond), web.Application()
    app.router.add_post("/v1/chat/completions", served.handle)
    app.router.add_get("/v1/chat/completions", served.show_all)
    with serving(app) as served.url:
        yield served
