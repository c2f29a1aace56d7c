"""Who gets a connection: so many at a time, and none for long without a whole request head (slow loris)."""

from __future__ import annotations

import asyncio
import time
from typing import cast

from aiohttp import web

SWEEP_S = 0.5
FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nContent-Length: 45\r\nRetry-After: 1\r\n"
    b"Connection: close\r\n\r\nall connections are taken (--max-connections)\n"
)


class Doors:
    """A protocol factory in front of aiohttp's. `first_requests` is a middleware that says who has asked something."""

    def __init__(self, most: int, patience_s: float) -> None:
        self._most, self._patience_s = most, patience_s
        self._server: web.Server | None = None
        self._silent: dict[object, tuple[web.RequestHandler, float]] = {}  # connections without a request, and since

    def open(self, server: web.Server) -> Doors:
        """From now on connections are handled by `server`."""
        self._server = server
        return self

    def __call__(self) -> asyncio.Protocol:
        assert self._server is not None, "nobody connects before it listens"
        if len(self._server.connections) >= self._most:
            return _Full()
        handler: web.RequestHandler = self._server()
        self._silent[handler] = handler, time.monotonic()
        return handler

    def heard(self, request: web.Request) -> None:
        """The head of a request has come; from now on keep-alive and body have their own times."""
        self._silent.pop(request.protocol, None)

    async def watch(self) -> None:
        """End connections that stay silent, until this is cancelled."""
        while True:
            await asyncio.sleep(min(SWEEP_S, self._patience_s))
            latest = time.monotonic() - self._patience_s
            for key, (handler, since) in list(self._silent.items()):
                if since < latest or handler.transport is None:
                    del self._silent[key]
                    handler.force_close()


class _Full(asyncio.Protocol):
    """Says that there is no room, and ends the connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        full = cast(asyncio.Transport, transport)  # uvloop's is none by its class
        full.write(FULL)
        full.close()
