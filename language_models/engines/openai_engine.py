"""Any OpenAI-compatible chat endpoint (OpenAI API reference: chat completions, structured outputs).

Every attempt is our own: the SDK sends no idempotency header, so a hidden retry after a timeout could be a second paid
call.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from urllib.parse import urlparse

from language_models.chat_format import OPENAI_URL
from language_models.engines.openai_connection import open_connection
from language_models.protocols import ChatConnection
from language_models.scheduler import Scheduler
from schemas.errors import ConfigError, EngineError
from schemas.records import Completion, KeyMaker, Prompt
from schemas.secrets import has_user
from schemas.sections import Llm

LOOPBACK = ("localhost", "127.0.0.1", "::1")


class OpenAIEngine:
    """Answers prompts at `llm.base_url` with `llm.concurrency` calls in flight at most. The key is read when asking."""

    name = "openai"

    def __init__(self, llm: Llm) -> None:
        self.model = llm.model
        self.endpoint = (llm.base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI_URL).rstrip("/")
        if has_user(self.endpoint):  # errors and the ledger say which endpoint it was
            raise ConfigError("llm.base_url: has a user or a password in it; leave them out, the key is key_env's")
        self._llm = llm
        limits = {"temperature": llm.temperature, "max_output_tokens": llm.max_output_tokens}
        self._key = KeyMaker(llm.model, {"engine": self.name, "endpoint": self.endpoint, **limits})

    def key(self, prompt: Prompt) -> str:
        return self._key(prompt)

    def connect(self) -> AbstractAsyncContextManager[ChatConnection]:
        """Raises EngineError where there is no key."""
        return open_connection(self._llm, self.endpoint, self.api_key(), self._key)

    def answer(self, prompts: Iterable[Prompt]) -> Iterator[Completion]:
        """Completions as they come, without a ledger: an attempt that may have been paid is repeated.

        After EngineError nothing is in flight: what was has been yielded before.
        """
        counter = _Counter(self, iter(prompts), self._llm.attempts)
        connecting = self.connect()
        with asyncio.Runner() as runner:
            run = runner.get_loop().create_task(_run(Scheduler(self, self._llm), connecting, counter))
            run.add_done_callback(lambda _: counter.wake())
            try:
                while completions := runner.run(counter.next_group(run)):
                    yield from completions
            finally:
                run.cancel()
                runner.run(asyncio.wait([run]))
            run.result()

    def api_key(self) -> str:
        """Read from the environment at each call, never kept. Raises EngineError where there is none."""
        key = os.environ.get(self._llm.key_env, "").strip()
        if key:
            return key
        if urlparse(self.endpoint).hostname in LOOPBACK:
            return "none-needed-on-loopback"
        raise EngineError(f"{self.endpoint}: no key; set the environment variable {self._llm.key_env} (llm.key_env)")


async def _run(
    scheduler: Scheduler, connecting: AbstractAsyncContextManager[ChatConnection], counter: _Counter
) -> None:
    async with connecting as connection:
        await scheduler.run(connection, counter)


class _Counter:
    """A desk without a ledger: an iterator on one side, what has come on the other."""

    def __init__(self, engine: OpenAIEngine, prompts: Iterator[Prompt], attempts: int) -> None:
        self._engine, self._prompts, self._attempts = engine, prompts, attempts
        self._open: dict[tuple[str, int], Prompt] = {}
        self._lost: dict[tuple[str, int], int] = {}  # attempts that brought nothing
        self._again: deque[Prompt] = deque()
        self._come: list[Completion] = []
        self._changed = asyncio.Event()

    async def take(self, most: int) -> Sequence[Prompt]:
        while True:
            prompts = self._next(most)
            if prompts or not self._open:
                return prompts
            self._changed.clear()
            await self._changed.wait()  # one of the open ones may have to be sent again

    def bring(self, completion: Completion) -> None:
        about = completion.key, completion.turn
        prompt = self._open.pop(about)
        lost = self._lost.pop(about, 0) + completion.unknown
        if completion.unknown and lost < self._attempts:
            self._open[about], self._lost[about] = prompt, lost
            self._again.append(prompt)
        else:
            reason = completion.finish_reason.replace("unknown:", "error:")
            self._come.append(replace(completion, finish_reason=reason))
        self.wake()

    def wake(self) -> None:
        """Something has come, or the run has ended."""
        self._changed.set()

    def put_back(self, prompts: Sequence[Prompt]) -> None:
        """Nobody remembers them."""

    async def next_group(self, run: asyncio.Task[None]) -> list[Completion]:
        """What has come since; nothing when the run has ended and all has been fetched."""
        while not self._come and not run.done():
            self._changed.clear()
            await self._changed.wait()
        come, self._come = self._come, []
        return come

    def _next(self, most: int) -> list[Prompt]:
        """Prompts to send again, then new ones; equal ones are not open twice."""
        chosen: list[Prompt] = []
        while len(chosen) < most:
            if self._again:
                chosen.append(self._again.popleft())
            elif (prompt := next(self._prompts, None)) is None:
                break
            elif (about := (self._engine.key(prompt), prompt.turn)) not in self._open:
                self._open[about] = prompt
                chosen.append(prompt)
        return chosen
