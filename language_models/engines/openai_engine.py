"""Any OpenAI-compatible chat endpoint (OpenAI API reference: chat completions, structured outputs).

A fixed number of workers share one connection pool and one iterator of prompts. Every attempt is our own
(`max_retries=0`): the SDK sends no idempotency header, so a hidden retry after a timeout could be a second paid call.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator
from typing import Any
from urllib.parse import urlparse

import openai

from language_models.chat_format import FORMATS, read_completion, request_body
from language_models.faults import Fault, diagnose
from schemas.errors import EngineError
from schemas.records import JSON, Completion, Prompt
from schemas.run import Llm

OPENAI_URL = "https://api.openai.com/v1"
FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 0.5, 60.0
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class OpenAIEngine:
    """Answers prompts at `llm.base_url` with `llm.concurrency` calls in flight at most. The key is read when asking."""

    name = "openai"

    def __init__(self, llm: Llm) -> None:
        self.model = llm.model
        self._llm = llm
        self._url = (llm.base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI_URL).rstrip("/")

    def key(self, prompt: Prompt) -> str:
        limits = {"temperature": self._llm.temperature, "max_output_tokens": self._llm.max_output_tokens}
        return prompt.key(self.model, {"engine": self.name, "endpoint": self._url, **limits})

    def answer(self, prompts: Iterable[Prompt]) -> Iterator[Completion]:
        """Completions as they come. After EngineError nothing is in flight: what was has been yielded before."""
        run = _Run(self._llm, self._url, self._api_key(), self.key, iter(prompts))
        with asyncio.Runner() as runner:
            stream = run.completions()
            try:
                while (completion := runner.run(_next(stream))) is not None:
                    yield completion
            finally:
                runner.run(stream.aclose())

    def _api_key(self) -> str:
        key = os.environ.get(self._llm.key_env, "").strip()
        if key:
            return key
        if urlparse(self._url).hostname in LOOPBACK:
            return "none-needed-on-loopback"
        raise EngineError(f"{self._url}: no key; set the environment variable {self._llm.key_env} (llm.key_env)")


class _Run:
    """One pass over an iterator of prompts: its workers, and what was learnt about the endpoint on the way."""

    def __init__(
        self, llm: Llm, url: str, api_key: str, key: Callable[[Prompt], str], prompts: Iterator[Prompt]
    ) -> None:
        self.llm, self.url, self.key, self.prompts = llm, url, key, prompts
        self._secret = api_key
        self._format: str | None = None  # of FORMATS, once the endpoint has accepted one
        self._resume_at = 0.0  # monotonic; a 429 with a time holds every worker back
        self._reached = False
        self._failure: EngineError | None = None

    async def completions(self) -> AsyncGenerator[Completion, None]:
        done: asyncio.Queue[Completion | None] = asyncio.Queue()
        async with self._client() as client:
            workers = [asyncio.create_task(self._work(client, done)) for _ in range(self.llm.concurrency)]
            try:
                ended = 0
                while ended < len(workers):
                    completion = await done.get()
                    if completion is None:
                        ended += 1
                    else:
                        yield completion
                await asyncio.gather(*workers)  # an unexpected error of a worker is raised here
                if self._failure is not None:
                    raise self._failure
            finally:
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)

    def _client(self) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(
            api_key=self._secret,
            base_url=self.url,
            timeout=self.llm.timeout_s,
            max_retries=0,
            http_client=openai.DefaultAioHttpClient(timeout=self.llm.timeout_s),
        )

    async def _work(self, client: openai.AsyncOpenAI, done: asyncio.Queue[Completion | None]) -> None:
        try:
            while self._failure is None and (prompt := next(self.prompts, None)) is not None:
                done.put_nowait(await self._answer(client, prompt))
        except EngineError as error:
            self._failure = self._failure or self._explain(error)
        finally:
            done.put_nowait(None)

    async def _answer(self, client: openai.AsyncOpenAI, prompt: Prompt) -> Completion:
        """The completion of one prompt after at most `llm.attempts` attempts."""
        for attempt in range(1, self.llm.attempts + 1):
            await asyncio.sleep(max(0.0, self._resume_at - time.monotonic()))
            started = time.monotonic()
            try:
                body = await self._create(client, prompt)
                return read_completion(self.key(prompt), prompt, body, self.llm, time.monotonic() - started)
            except (openai.OpenAIError, ValueError) as error:
                fault = diagnose(error)
            self._reached = self._reached or not fault.unreachable
            if not fault.retry or attempt == self.llm.attempts or self._failure is not None:
                break
            await self._back_off(fault, attempt)
        if fault.unreachable and not self._reached:
            raise EngineError(f"cannot be reached: {fault.detail}; is llm.base_url right and the endpoint up?")
        detail = self._redact(fault.detail)
        return Completion(self.key(prompt), detail, f"error:{fault.reason}", 0, 0, 0.0, self.llm.model, 0.0)

    async def _back_off(self, fault: Fault, attempt: int) -> None:
        if fault.wait_s is not None:
            self._resume_at = max(self._resume_at, time.monotonic() + fault.wait_s)
            return
        longest = min(LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 2 ** (attempt - 1))
        await asyncio.sleep(longest * random.uniform(0.5, 1.0))

    async def _create(self, client: openai.AsyncOpenAI, prompt: Prompt) -> JSON:
        """The body of the answer, in the strictest of FORMATS that the endpoint does not refuse."""
        for form in [self._format] if self._format else FORMATS:
            try:
                body = await self._post(client, prompt, form)
            except (openai.BadRequestError, openai.UnprocessableEntityError):
                self._reached = True
                if self._format or form == FORMATS[-1]:
                    raise
            else:
                self._reached, self._format = True, self._format or form
                return body
        raise AssertionError("the last format returns or raises")

    async def _post(self, client: openai.AsyncOpenAI, prompt: Prompt, form: str) -> JSON:
        limit = "max_completion_tokens" if self.url == OPENAI_URL else "max_tokens"  # others know the older name
        request: dict[str, Any] = {**request_body(prompt, self.llm, form), limit: self.llm.max_output_tokens}
        raw = await client.chat.completions.with_raw_response.create(**request)
        return json.loads(raw.http_response.content)

    def _explain(self, error: EngineError) -> EngineError:
        where = f"{self.url}: model {self.llm.model}"
        return EngineError(
            self._redact(f"{where}: {error}; key from {self.llm.key_env}; every answer so far is kept, run again")
        )

    def _redact(self, text: str) -> str:
        return text.replace(self._secret, "***")


async def _next(stream: AsyncIterator[Completion]) -> Completion | None:
    return await anext(stream, None)
