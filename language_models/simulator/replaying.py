"""Idempotency-Key: the answer that was paid under a key, given again for nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


class KeyReuseError(Exception):
    """An Idempotency-Key came back with another request."""


class Replays:
    """Answers by key. A second request that comes while the first is being answered waits for it."""

    def __init__(self) -> None:
        self._answers: dict[str, tuple[bytes, bytes]] = {}
        self._running: dict[str, asyncio.Lock] = {}

    async def once(self, key: str, request: bytes, make: Callable[[], Awaitable[bytes]]) -> tuple[bytes, bool]:
        """The answer under a key, and whether it is a replay. Raises KeyReuseError for another request's key."""
        if key not in self._answers:
            async with self._running.setdefault(key, asyncio.Lock()):
                if key not in self._answers:
                    self._answers[key] = request, await make()
                    self._running.pop(key, None)
                    return self._answers[key][1], False
        owner, content = self._answers[key]
        if owner != request:
            raise KeyReuseError("Idempotency-Key: it was used for another request before; take a new key")
        return content, True
