"""One endpoint's line: an event loop in a thread that leases what is to be asked, sends it, and says what came.

Calls wait in a bounded number: no task and no memory per row.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from contextvars import copy_context
from queue import Empty, SimpleQueue

from language_models.chat_format import format_fact
from language_models.inquiry import Inquiry
from language_models.ledger import Call, Granted
from language_models.ledger.writer import Writer
from language_models.protocols import ChatConnection, OnlineEngine
from language_models.scheduler import Scheduler, Status
from schemas.records import Completion, Prompt
from schemas.sections import Llm

HELD_S = 1.0  # between looks at calls that another worker has in flight
LONGEST_LOOK_S = 30.0  # for the answers of a killed run

Arrival = Completion | BaseException | list[str]  # an answer in the ledger, what ended the line, keys to look up again


class Line:
    """The event loop's side: leases what is to be asked, sends it, and reports what the ledger has."""

    def __init__(self, engine: OnlineEngine, inquiry: Inquiry, writer: Writer) -> None:
        self.engine, self.inquiry, self.writer, self.llm = engine, inquiry, writer, inquiry.llm
        self.status = Status()
        self.recovered = 0  # answers of killed runs that the endpoint still had
        self.orphaned = 0  # calls of killed runs that may have been paid unseen
        self.scheduler = Scheduler(engine, inquiry.llm, self.status)
        self._loop = asyncio.new_event_loop()
        self._wanted: deque[Call] = deque()
        self._arrived: SimpleQueue[Arrival] = SimpleQueue()
        self._changed = asyncio.Event()
        self._hung_up = False
        self._out = 0  # leased and not yet committed as answered
        self._recovering: set[asyncio.Task[None]] = set()
        mine = copy_context()  # so that what the loop logs says which run it is of
        self._thread = threading.Thread(target=mine.run, args=(self._run,), name="loregraph-endpoint", daemon=True)
        self._connection: ChatConnection | None = None

    # ---- called from the caller's thread

    def start(self) -> None:
        self._thread.start()

    def ask(self, calls: Sequence[Call]) -> None:
        if calls:
            self._wanted.extend(calls)
            self._wake()

    def arrivals(self, wait_s: float) -> Iterator[Arrival]:
        """What has come; waits for the first at most so long."""
        try:
            yield self._arrived.get(timeout=wait_s) if wait_s else self._arrived.get_nowait()
            while True:
                yield self._arrived.get_nowait()
        except Empty:
            return

    def hang_up(self) -> None:
        """Nothing more is asked; returns when the line is closed."""
        self._hung_up = True
        self._wake()
        self._thread.join()

    def stop(self) -> None:
        """Send nothing more."""
        self.scheduler.stop()
        self._hung_up = True
        self._wake()

    @property
    def ended(self) -> bool:
        return not self._thread.is_alive()

    def _wake(self) -> None:
        with suppress(RuntimeError):  # the line has ended meanwhile
            self._loop.call_soon_threadsafe(self._changed.set)

    # ---- in the event loop's thread; the scheduler's desk

    async def take(self, most: int) -> Sequence[Prompt]:
        """Leased prompts; none when nothing more will be asked, or when the next call could pass the cap."""
        while True:
            while self._wanted:
                if prompts := await self._lease(most):
                    return prompts
            if self._hung_up:
                return []
            self._changed.clear()
            if not self._wanted and not self._hung_up:
                await self._changed.wait()

    def bring(self, completion: Completion) -> None:
        future = self.writer.respond([completion])
        future.add_done_callback(lambda done: self._committed(completion, done))

    def put_back(self, prompts: Sequence[Prompt]) -> None:
        self._out -= len(prompts)
        self.writer.release([self.engine.key(prompt) for prompt in prompts])

    async def _lease(self, most: int) -> list[Prompt]:
        calls = {call.key: call for call in self._next(most)}
        granted = await self._granted(self.writer.lease(list(calls.values()), self.llm.max_cost_usd))
        self._out += len(granted.taken)
        if granted.answered:
            self._arrived.put(granted.answered)
        if granted.held:
            self._loop.call_later(HELD_S, self._want, [calls[key] for key in granted.held])
        if granted.orphaned:
            await self._adopt([calls[key] for key in granted.orphaned])
        if granted.refused:
            self._wanted.extendleft(calls[key] for key in reversed(granted.refused))
            if not granted.taken:
                await self._until_affordable()
        return [calls[key].prompt for key in granted.taken]

    async def _granted(self, lease: Future[Granted]) -> Granted:
        """What was leased; when nobody waits for it any more, it is released."""
        try:
            return await asyncio.shield(asyncio.wrap_future(lease))
        except asyncio.CancelledError:
            self.writer.release((await asyncio.wrap_future(lease)).taken)
            raise

    def _next(self, most: int) -> list[Call]:
        return [self._wanted.popleft() for _ in range(min(most, len(self._wanted)))]

    def _want(self, calls: Sequence[Call]) -> None:
        self._wanted.extend(calls)
        self._changed.set()

    async def _until_affordable(self) -> None:
        """An answer costs less than was reserved for it: wait for one; with nothing in flight the cap is reached."""
        if self._out == 0:
            raise self.inquiry.over_budget(self._wanted[0])
        self._changed.clear()
        await self._changed.wait()

    async def _adopt(self, calls: Sequence[Call]) -> None:
        """Take over calls whose worker died; their answers are looked for while other calls go on."""
        ours = await asyncio.shield(asyncio.wrap_future(self.writer.adopt([call.key for call in calls])))
        self._want([call for call in calls if call.key not in ours])  # another worker was faster
        orphans = [call for call in calls if call.key in ours]
        self._out += len(orphans)
        task = self._loop.create_task(self._recover(orphans))
        self._recovering.add(task)
        task.add_done_callback(self._recovering.discard)

    async def _recover(self, calls: Sequence[Call]) -> None:
        """Find the answers where the endpoint keeps them, which may still be writing them; free the others."""
        try:
            for pause in _pauses(self.llm):
                await asyncio.sleep(pause)
                calls = await self._look_for(calls)
                if self._hung_up:  # asked to stop: they stay orphans of ours, for the next run
                    return
            charged = self.llm.recovery != "idempotency"
            await asyncio.wrap_future(self.writer.abandon([call.key for call in calls], charged))
            self.orphaned += charged * len(calls)
            self._wanted.extend(calls)
        except Exception as error:  # noqa: BLE001  carried to the caller's thread and raised there
            self._arrived.put(error)
        finally:
            self._out -= len(calls)
            self._changed.set()

    async def _look_for(self, calls: Sequence[Call]) -> list[Call]:
        """Bring the answers that are found; returns the calls without one."""
        assert self._connection is not None
        found = await asyncio.gather(*(self._connection.recover(call.prompt) for call in calls))
        for completion in filter(None, found):
            self.recovered += 1
            self.bring(completion)
        return [call for call, completion in zip(calls, found, strict=True) if completion is None]

    def _committed(self, completion: Completion, done: Future[None]) -> None:
        error = done.exception()
        self._arrived.put(error if error is not None else completion)
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._settled)

    def _settled(self) -> None:
        self._out -= 1
        self._changed.set()

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._talk())
        except BaseException as error:  # noqa: BLE001  carried to the caller's thread and raised there
            self._arrived.put(error)

    async def _talk(self) -> None:
        remembered = format_fact(self.engine.endpoint, self.engine.model)
        async with self.engine.connect() as connection:
            self._connection = connection
            connection.format = connection.format or self.inquiry.ledger.recall(remembered)
            try:
                await self.scheduler.run(connection, self)
            finally:
                if connection.format is not None:
                    self.inquiry.ledger.remember(remembered, connection.format)
                while self._out:
                    self._changed.clear()
                    await self._changed.wait()


@contextmanager
def open_line(engine: OnlineEngine, inquiry: Inquiry, writer: Writer) -> Iterator[Line]:
    """A line that is closed when the block ends: after what is in flight has come back, whatever ended it."""
    line = Line(engine, inquiry, writer)
    line.start()
    try:
        yield line
    except KeyboardInterrupt:
        raise  # the second request to stop: what is in flight is left to be found as unknown
    except BaseException:
        line.stop()
        line.hang_up()
        raise


def _pauses(llm: Llm) -> Iterator[float]:
    """Seconds before each look for the answers of a killed run, which an endpoint may take a while to finish."""
    yield 0.0
    waited, pause = 0.0, 0.5
    while llm.recovery == "stored" and waited < min(llm.timeout_s, LONGEST_LOOK_S):
        yield pause
        waited, pause = waited + pause, min(2 * pause, 4.0)
