"""Which call is sent when: one dispatcher, a task per call in flight, and one heap of the calls that wait.

What is asked comes from a desk, and what comes back goes to it: the scheduler knows neither ledger nor endpoint. Memory
is bounded by `llm.concurrency`, not by the number of calls. Error classes: `faults`.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence
from math import inf

from language_models.alarm import Alarm
from language_models.call_queue import Call, CallQueue
from language_models.desk import Desk as Desk
from language_models.desk import Status as Status
from language_models.faults import Failure, Fault
from language_models.pace import Pace
from language_models.protocols import ChatConnection, OnlineEngine, Reply
from schemas.errors import EngineError
from schemas.records import Completion, Prompt
from schemas.sections import Llm

log = logging.getLogger(__name__)
FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 0.5, 60.0
AHEAD = 4  # a quarter of the window is taken ahead, so that calls do not wait for the ledger
WAITING = 4  # windows of waiting calls, beyond which no new ones are taken
MOST_LIMITED = 100  # 429s of one call, while others are answered, before it is given up
LOOK_AGAIN_S = 1.0  # until a stored answer that was not found is looked for once more
GRACE_S = 1.0  # for a desk that is busy taking when the run ends


class Scheduler:
    """Sends what a desk hands out, as fast as the endpoint's limits and `llm.concurrency` allow. One run each."""

    def __init__(self, engine: OnlineEngine, llm: Llm, status: Status | None = None) -> None:
        self._engine, self._llm = engine, llm
        self.status = status if status is not None else Status()
        self._queue = CallQueue()
        self._flying: dict[asyncio.Task[None], Call] = {}
        self._taking: asyncio.Task[Sequence[Prompt]] | None = None
        self._desk_empty = self._stopping = False
        self._error: BaseException | None = None
        self._started: Alarm | None = None

    async def run(self, connection: ChatConnection, desk: Desk) -> None:
        """Until the desk is empty and nothing is in flight, or until `stop`.

        Raises EngineError where no call can succeed, and whatever the desk raises, after the calls in flight came back
        and were brought.
        """
        self._started, self._connection, self._desk = Alarm(), connection, desk
        self._pace = Pace(self._llm, self._now)
        try:
            while not self._over:
                self._take_ahead()
                until = self._dispatch()
                self._show()
                await self._alarm.sleep(until)
            await self._drain()
        except asyncio.CancelledError:
            await self._abort()
            raise
        finally:
            self._clear()
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """Send nothing more, let what is in flight come back, put back the rest; may be called from any thread."""
        self._stopping = True
        if self._started is not None:
            self._started.wake_from_anywhere()

    @property
    def _alarm(self) -> Alarm:
        assert self._started is not None
        return self._started

    @property
    def _now(self) -> float:
        return self._alarm.now

    # ---- what to do next

    @property
    def _over(self) -> bool:
        if self._stopping or self._error is not None:
            return True
        return self._desk_empty and not (self._taking or self._queue or self._flying)

    def _take_ahead(self) -> None:
        """Ask the desk for more where little is left to send."""
        if self._taking is not None or self._desk_empty:
            return
        least, wanted = self._wanted()
        if wanted >= least:
            self._taking = asyncio.create_task(self._desk.take(wanted))
            self._taking.add_done_callback(self._taken)

    def _wanted(self) -> tuple[int, int]:
        """The number of calls worth asking for, and how many would be good to have."""
        queue = self._queue
        if queue.waiting >= WAITING * self._llm.concurrency:
            return 1, 0
        if self._pace.breaker.open:
            return 1, 1 - queue.fresh - queue.waiting
        ahead = max(1, self._pace.window.size // AHEAD)
        room = 0 if self._connection.format is None else self._pace.free(self._now, len(self._flying))
        return max(1, ahead // 2), room + ahead - queue.fresh

    def _taken(self, taking: asyncio.Task[Sequence[Prompt]]) -> None:
        self._taking = None
        if not taking.cancelled():
            if (error := taking.exception()) is not None:
                self._error = self._error or error
            else:
                self._desk_empty = not taking.result()
                self._queue.add(taking.result())
        self._alarm.wake()

    def _dispatch(self) -> float:
        """Send what may go now; returns when there may be more to send."""
        now = self._now
        while (call := self._queue.peek(now)) is not None:
            if self._connection.format is None and self._flying:
                return inf  # one call finds out which format the endpoint takes
            if (ready := self._pace.ready_at(now, call, len(self._flying))) > now:
                return ready
            self._queue.pop(now)
            self._send(call, now)
        return self._queue.next_ready_at

    def _send(self, call: Call, now: float) -> None:
        self._pace.sent(now, call)
        self.status.attempts += 1
        call.sent = False
        task = asyncio.create_task(self._attempt(call))
        self._flying[task] = call
        task.add_done_callback(self._landed)

    # ---- what came back

    async def _attempt(self, call: Call) -> None:
        call.sent = True
        try:
            reply = await self._connection.send(call.prompt)
        except Failure as failure:
            await self._failed(call, failure.fault)
        else:
            self._answered(call, reply)

    def _landed(self, task: asyncio.Task[None]) -> None:
        call = self._flying.pop(task)
        error = None if task.cancelled() else task.exception()
        self._error = self._error or error
        if task.cancelled() and not call.sent:
            self._queue.wait(call, self._now)  # cancelled before it began
        elif task.cancelled() or error is not None:
            self._lose(call, "stopped", "the run ended while it was in flight")
        self._alarm.wake()

    def _answered(self, call: Call, reply: Reply) -> None:
        self._pace.answered(self._now, call, reply)
        self._bring(call, reply.completion)

    async def _failed(self, call: Call, fault: Fault) -> None:
        try:
            self._pace.failed(self._now, call, fault)
        except EngineError as error:
            self._fail(str(error))
        if fault.action == "unknown":
            await self._search(call, fault)
        elif fault.action == "drop":
            self._give_up(call, fault)
        else:
            self._repeat(call, fault)

    def _repeat(self, call: Call, fault: Fault) -> None:
        """Once more, and when; or an end to it."""
        if fault.action == "stop":
            self._fail(fault.detail)
        self.status.rate_limited += fault.action == "wait"
        if fault.action in ("stop", "again") or self._error is not None:
            self._queue.wait(call, self._now)
        elif call.limited >= MOST_LIMITED or call.tries >= self._llm.attempts:
            self._give_up(call, fault)
        else:
            self.status.retried += 1
            pause = _pause(call, fault)
            self._log(
                "rate_limited" if fault.action == "wait" else "retried", call, fault.reason, wait_s=round(pause, 3)
            )
            self._queue.wait(call, self._now + pause)

    async def _search(self, call: Call, fault: Fault) -> None:
        """Perhaps paid: find the stored answer, or have the gateway repeat it, or say that it is unknown."""
        self.status.unknown += 1
        call.lost = fault.reason
        if self._llm.recovery == "idempotency":
            self._repeat(call, fault)
        elif self._llm.recovery == "stored" and (found := await self._recover(call.prompt)) is not None:
            self.status.recovered += 1
            self._bring(call, found)
        else:
            self._lose(call, fault.reason, fault.detail)

    async def _recover(self, prompt: Prompt) -> Completion | None:
        if (found := await self._connection.recover(prompt)) is not None:
            return found
        await asyncio.sleep(LOOK_AGAIN_S)
        return await self._connection.recover(prompt)

    def _give_up(self, call: Call, fault: Fault) -> None:
        """`error:<reason>`, unless an attempt before may have been paid."""
        if call.lost:
            self._lose(call, call.lost, fault.detail)
        else:
            self._log("call_given_up", call, fault.reason)
            self._bring(call, self._empty(call.prompt, f"error:{fault.reason}", fault.detail))

    def _lose(self, call: Call, reason: str, detail: str) -> None:
        if not call.done:
            self._log("call_unknown", call, reason)
            self._bring(call, self._empty(call.prompt, f"unknown:{reason}", detail))

    def _bring(self, call: Call, completion: Completion) -> None:
        call.done = True
        self._desk.bring(completion)

    def _empty(self, prompt: Prompt, reason: str, detail: str) -> Completion:
        key = self._engine.key(prompt)
        return Completion(key, detail, reason, 0, 0, 0.0, self._engine.model, 0.0, turn=prompt.turn)

    def _log(self, event: str, call: Call, reason: str, wait_s: float | None = None) -> None:
        """Say what became of an attempt. What the endpoint has said is not told: it may repeat the prompt."""
        if log.isEnabledFor(logging.INFO):
            told = {"recipe": call.prompt.recipe, "key": self._engine.key(call.prompt), "model": self._engine.model}
            tried = {"reason": reason, "attempt": call.tries, "wait_s": wait_s}
            log.info(event, extra={"event": event, **told, **tried})

    def _fail(self, what: str) -> None:
        """End the run; the first error counts."""
        where = f"{self._engine.endpoint}: model {self._engine.model}"
        text = f"{where}: {what}; key from {self._llm.key_env}; every answer so far is kept, run again"
        self._error = self._error or EngineError(text)

    # ---- the end

    async def _drain(self) -> None:
        while self._flying:
            await asyncio.wait(self._flying)
        if self._taking is not None:
            await asyncio.wait([self._taking], timeout=GRACE_S)
        if self._taking is not None:
            self._taking.cancel()
            await asyncio.wait([self._taking])

    async def _abort(self) -> None:
        """The run itself is cancelled, and so is everything that it waits for."""
        pending = [*self._flying, *filter(None, [self._taking])]
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)

    def _clear(self) -> None:
        """Put back what was not paid."""
        left = self._queue.clear()
        for call in left:
            if call.lost:
                self._lose(call, call.lost, "the run ended before it was repeated")
        if back := [call.prompt for call in left if not call.done]:
            self._desk.put_back(back)
        self._show()

    def _show(self) -> None:
        status, pace = self.status, self._pace
        status.in_flight, status.waiting, status.window = len(self._flying), self._queue.waiting, pace.window.size
        breaker = "open" if pace.breaker.open else "closed"
        if breaker != status.breaker:
            told = {"event": f"breaker_{breaker}", "model": self._engine.model, "calls": status.waiting}
            log.log(logging.WARNING if pace.breaker.open else logging.INFO, "breaker", extra=told)
        status.breaker = breaker
        status.requests_per_minute = pace.limiter.per_minute("requests")
        status.tokens_per_minute = pace.limiter.per_minute("tokens")


def _pause(call: Call, fault: Fault) -> float:
    """Seconds before the next attempt: what the endpoint asks for, else growing and jittered.

    Jitter, so that calls that failed together do not come back together.
    """
    if fault.action == "wait" and fault.wait_s is not None:
        return fault.wait_s
    failures = call.limited if fault.action == "wait" else call.failures
    longest = min(LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 2.0 ** (failures - 1))
    return max(longest * random.uniform(0.5, 1.0), fault.wait_s or 0.0)
