"""POST /v1/chat/completions: quotas, then the attempt's fault, then the model, then perhaps a lost connection."""

from __future__ import annotations

import asyncio
import math
import time

from aiohttp import web

from language_models.simulator.asked import Asked, read_request
from language_models.simulator.counting import Counting
from language_models.simulator.drawing import Faults
from language_models.simulator.generating import Answer, Model, encoded
from language_models.simulator.limits import Limits
from language_models.simulator.options import Options
from language_models.simulator.replaying import KeyReuseError, Replays
from language_models.simulator.responses import JSON_TYPE, cut_off, read_metadata, read_object, refuse
from language_models.simulator.script import PAID
from language_models.simulator.storing import Stored
from schemas.records import JSON

HTML = "<html><body><h1>Welcome</h1></body></html>"
LOOK_S = 0.1  # between looks whether a client is still waiting for what never comes


class Chat:
    """The chat endpoint."""

    def __init__(self, options: Options, counting: Counting, faults: Faults, model: Model) -> None:
        self.options, self.counting, self.faults, self.model = options, counting, faults, model
        self.limits = Limits(faults.script)
        self.stored = Stored(faults)
        self.replays = Replays()

    async def create(self, request: web.Request) -> web.StreamResponse:
        """Serve one request; what it counts as in /stats is decided here."""
        self.counting.requests += 1
        self.counting.enter()
        try:
            response = await self._serve(request)
        finally:
            self.counting.in_flight -= 1
        return response

    async def _serve(self, request: web.Request) -> web.Response:
        try:
            body = await read_object(request)
            asked, metadata = read_request(body), read_metadata(body)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            return refuse(400, f"{error}")
        if (refusal := self._refusal(asked, body)) is not None:
            return refusal
        fault = self.faults.of_attempt(asked.request, attempt := self.counting.attempt(asked))
        if fault is not None:
            self.counting.failed[asked.request] += 1
            if fault not in PAID:
                return await self._fail(request, asked, fault)
        try:
            content = await self._produce(request, asked, body | {"metadata": metadata}, attempt, fault)
        except KeyReuseError as error:
            return refuse(400, str(error), "idempotency_key_reused")
        if fault == "hang_paid":
            await self._hang(request)
        if fault is not None:
            return cut_off(request)
        self.counting.served += request.transport is not None
        return web.Response(body=content, content_type=JSON_TYPE, headers=self.limits.headers())

    def _refusal(self, asked: Asked, body: JSON) -> web.Response | None:
        """What no attempt changes, then the quotas."""
        script, counting = self.faults.script, self.counting
        if script.unauthorized_after is not None and counting.paid >= script.unauthorized_after:
            return refuse(401, "Incorrect API key provided.", "invalid_api_key")
        if script.insufficient_quota_after is not None and counting.paid >= script.insufficient_quota_after:
            code = "insufficient_quota"
            return refuse(429, "You exceeded your current quota, please check your plan.", code, kind=code)
        if asked.form not in self.options.formats:
            return refuse(400, f"response_format of type '{asked.form}' is not supported with this model.")
        if self.model.without_logprobs(asked):
            return refuse(400, "logprobs are not supported with this model.", "unsupported_parameter")
        if body.get("stream"):
            return refuse(400, "stream: the simulator answers whole; leave it out", "unsupported_value")
        if self.model.refuses(asked):
            self.faults.strike("bad_request")
            return refuse(400, "The request was rejected by the fault script.", "invalid_value")
        return self._over_quota(asked)

    def _over_quota(self, asked: Asked) -> web.Response | None:
        counting, limits = self.counting, self.limits
        capacity = self.faults.capacity()
        if (capacity is not None and counting.in_flight > capacity) or not limits.admit_hidden():
            counting.rate_limited += 1
            return refuse(429, "The engine is currently overloaded, please try again later.", kind="overloaded_error")
        if limits.requests is None and limits.tokens is None:
            return None
        tokens = asked.input_tokens + (self.model.answer(asked).output_tokens if limits.tokens else 0)
        if (wait := limits.admit(tokens)) == 0.0:
            return None
        counting.rate_limited += 1
        return refuse(429, "Rate limit reached.", "rate_limit_exceeded", limits.headers() | retry_after(wait))

    async def _fail(self, request: web.Request, asked: Asked, fault: str) -> web.Response:
        """A fault that strikes before the model answers."""
        if fault == "hang":
            await self._hang(request)
        if fault in ("hang", "reset_before"):
            return cut_off(request)
        if fault == "invalid_body":
            return web.Response(text=HTML, content_type="text/html")
        if fault == "server_error":
            return refuse(self.faults.status(asked.request), "The server had an error while processing your request.")
        headers = retry_after(self.faults.script.retry_after_s) if fault == "rate_limit_after" else {}
        return refuse(429, "Rate limit reached.", "rate_limit_exceeded", headers)

    async def _produce(self, request: web.Request, asked: Asked, body: JSON, attempt: int, fault: str | None) -> bytes:
        """The answer, paid; or the one that was paid before under the same Idempotency-Key."""
        key = request.headers.get("Idempotency-Key") if self.options.idempotency else None
        if key is None:
            return await self._generate(asked, body, attempt, fault)
        content, replayed = await self.replays.once(
            key, asked.request, lambda: self._generate(asked, body, attempt, fault)
        )
        self.counting.idempotent_replays += replayed
        return content

    async def _generate(self, asked: Asked, body: JSON, attempt: int, fault: str | None) -> bytes:
        answer = self.model.answer(asked)
        self.faults.strike(answer.fault)
        if seconds := self.faults.latency_s(asked.request, attempt, answer.output_tokens):
            await asyncio.sleep(seconds)
        self._pay(asked, answer, fault)
        metadata = body.get("metadata")
        completion = self.model.completion(asked, answer, metadata)
        content = encoded(completion)
        if body.get("store"):
            self.stored.keep(completion["id"], metadata or {}, content)
        return content

    def _pay(self, asked: Asked, answer: Answer, fault: str | None) -> None:
        kind = ":".join(filter(None, ("chat", answer.fault, fault)))
        self.counting.pay(asked, answer.output_tokens, self.model.cached_tokens(asked), kind)

    async def _hang(self, request: web.Request) -> None:
        """Until the script's time is over or the client has gone."""
        end = time.monotonic() + self.faults.script.hang_s
        while time.monotonic() < end and request.transport is not None and not request.transport.is_closing():
            await asyncio.sleep(min(LOOK_S, max(0.0, end - time.monotonic())))


def retry_after(seconds: float) -> dict[str, str]:
    """Whole seconds, and milliseconds beside them, as OpenAI sends both."""
    return {"retry-after": str(math.ceil(seconds)), "retry-after-ms": str(math.ceil(seconds * 1000))}
