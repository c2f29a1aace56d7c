"""A nap that ends at a moment of the event loop's clock, or when somebody wakes the sleeper."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from math import inf


class Alarm:
    """For one sleeper in one event loop. Made in the loop; cheaper than a task per nap."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._nap: asyncio.Future[None] | None = None

    @property
    def now(self) -> float:
        """The loop's clock, seconds."""
        return self._loop.time()

    async def sleep(self, until: float) -> None:
        """Until that moment, `inf` for no moment, or until `wake`."""
        self._nap = self._loop.create_future()
        timer = self._loop.call_at(until, self.wake) if until < inf else None
        try:
            await self._nap
        finally:
            self._nap = None
            if timer is not None:
                timer.cancel()

    def wake(self) -> None:
        """Nothing happens where nobody sleeps."""
        if self._nap is not None and not self._nap.done():
            self._nap.set_result(None)

    def wake_from_anywhere(self) -> None:
        """As `wake`, from any thread, and also when the loop is closed."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self.wake)
