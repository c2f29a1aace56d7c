"""An engine at work in a thread of its own, so that no answer waits unwritten behind a slower one."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from queue import Empty, SimpleQueue

from language_models.protocols import ChatEngine
from schemas.records import Completion, Prompt

DRAIN_S = 10.0  # how long a consumer that stops early waits for the answers of calls in flight


class Pump:
    """Completions of `prompts` in groups: whatever came while the consumer was busy with the group before."""

    def __init__(self, engine: ChatEngine, prompts: Sequence[Prompt], largest: int) -> None:
        self._inbox: SimpleQueue[Completion | BaseException | None] = SimpleQueue()
        self._stop = threading.Event()
        self._largest = largest
        self._thread = threading.Thread(target=self._run, args=(engine, prompts), name="loregraph-engine", daemon=True)
        self._thread.start()

    def groups(self) -> Iterator[list[Completion]]:
        """Until the engine ends; raises what it raised, after the last group."""
        while True:
            first = self._inbox.get()
            group, end = self._take(first)
            if group:
                yield group
            if isinstance(end, BaseException):
                raise end
            if end is None:
                return

    def close(self) -> list[Completion]:
        """Send nothing more, wait for the calls in flight at most `DRAIN_S` seconds, and return what they answered."""
        self._stop.set()
        self._thread.join(DRAIN_S)
        left = []
        while not self._inbox.empty():
            left.append(self._inbox.get())
        return [completion for completion in left if isinstance(completion, Completion)]

    @property
    def ended(self) -> bool:
        """Whether nothing is in flight any more."""
        return not self._thread.is_alive()

    def _take(self, first: Completion | BaseException | None) -> tuple[list[Completion], object]:
        """The completions that are there, and what came after them: an error, None for the end, or a completion."""
        group: list[Completion] = []
        entry = first
        while isinstance(entry, Completion):
            group.append(entry)
            if len(group) == self._largest:
                break
            try:
                entry = self._inbox.get_nowait()
            except Empty:
                break
        return group, entry

    def _run(self, engine: ChatEngine, prompts: Sequence[Prompt]) -> None:
        try:
            for completion in engine.answer(self._until_stopped(prompts)):
                self._inbox.put(completion)
        except BaseException as error:  # noqa: BLE001  carried to the consumer's thread and raised there
            self._inbox.put(error)
        else:
            self._inbox.put(None)

    def _until_stopped(self, prompts: Sequence[Prompt]) -> Iterator[Prompt]:
        for prompt in prompts:
            if self._stop.is_set():
                return
            yield prompt
