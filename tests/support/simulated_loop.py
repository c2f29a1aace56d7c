"""An asyncio event loop whose clock jumps to the next timer when nothing is left to do: hours pass in a moment."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine, Mapping
from typing import Any


class Clock(selectors.BaseSelector):
    """A selector that never waits. Whoever would wait for longer than the run may last is told so."""

    def __init__(self, longest_s: float) -> None:
        self.now, self.longest_s = 0.0, longest_s
        self._real = selectors.DefaultSelector()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if (ready := self._real.select(0)) or timeout == 0:
            return ready
        if timeout is None:
            raise AssertionError("a deadlock: nothing is left that could wake anybody")
        self.now += timeout
        if self.now > self.longest_s:
            raise AssertionError(f"still not over after {self.longest_s} simulated seconds")
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def close(self) -> None:
        self._real.close()

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()


class SimulatedLoop(asyncio.SelectorEventLoop):
    """`time()` begins at 0."""

    def __init__(self, longest_s: float = 1e6) -> None:
        self.clock = Clock(longest_s)
        super().__init__(self.clock)

    def time(self) -> float:
        return self.clock.now


def simulate(main: Coroutine[Any, Any, Any], longest_s: float = 1e6) -> Any:
    """Run a coroutine under simulated time; AssertionError on a deadlock, or when it lasts longer."""
    with asyncio.Runner(loop_factory=lambda: SimulatedLoop(longest_s)) as runner:
        return runner.run(main)
