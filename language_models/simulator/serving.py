"""The endpoint as an aiohttp application, and its life: listen, say where, serve until a signal comes."""

from __future__ import annotations

import asyncio
import errno
import importlib.util
import resource
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from language_models.simulator.batch_rows import Rows
from language_models.simulator.batching import Batches
from language_models.simulator.chat import Chat
from language_models.simulator.control import Control, health, models
from language_models.simulator.counting import Counting
from language_models.simulator.drawing import Faults
from language_models.simulator.embedding import Embeddings
from language_models.simulator.filing import Files
from language_models.simulator.generating import Model
from language_models.simulator.options import Options
from language_models.simulator.responses import refuse
from schemas.errors import ConfigError

LARGEST_BODY = 1 << 30  # bytes; a batch file may have 200 MB
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def serve(options: Options) -> None:
    """Serve until SIGTERM or SIGINT. Raises ConfigError where the port cannot be had."""
    _allow_connections()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(options))


def make_app(options: Options) -> tuple[web.Application, Counting]:
    """All routes over one set of counts, faults and answers."""
    counting = Counting(options)
    faults = Faults(options.script, counting.strike)
    model = Model(faults, options.answers)
    chat = Chat(options, counting, faults, model)
    files = Files(counting, faults)
    batches = Batches(counting, faults, files, Rows(counting, faults, model, options.formats))
    control = Control(chat)
    app = web.Application(client_max_size=LARGEST_BODY, middlewares=[_gate(options, counting)])
    app.add_routes(
        [
            web.post("/v1/chat/completions", chat.create),
            web.get("/v1/chat/completions", chat.stored.show_all),
            web.get("/v1/chat/completions/{id}", chat.stored.get),
            web.post("/v1/embeddings", Embeddings(counting, faults).create),
            web.post("/v1/files", files.upload),
            web.get("/v1/files", files.show_all),
            web.get("/v1/files/{id}", files.get),
            web.get("/v1/files/{id}/content", files.content),
            web.delete("/v1/files/{id}", files.delete),
            web.post("/v1/batches", batches.create),
            web.get("/v1/batches", batches.show_all),
            web.get("/v1/batches/{id}", batches.get),
            web.post("/v1/batches/{id}/cancel", batches.cancel),
            web.get("/v1/models", models),
            web.get("/health", health),
            web.get("/stats", control.stats),
            web.post("/stats/reset", control.reset),
            web.get("/faults", control.show),
            web.post("/faults", control.replace),
            web.patch("/faults", control.change),
        ]
    )
    return app, counting


async def _serve(options: Options) -> None:
    app, counting = make_app(options)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.05, keepalive_timeout=600)
    await runner.setup()
    try:
        await _listen(runner, options)
        await _signal()
    finally:
        counting.flush()
        await runner.cleanup()


async def _listen(runner: web.AppRunner, options: Options) -> None:
    site = web.TCPSite(runner, options.host, options.port, backlog=4096)
    try:
        await site.start()
    except OSError as error:
        raise ConfigError(_unavailable(options, error)) from None
    port = runner.addresses[0][1]
    if options.port_file is not None:
        options.port_file.write_text(f"{port}\n")
    sys.stdout.write(f"simulate: listening on http://{options.host}:{port}/v1\n")
    sys.stdout.flush()


def _unavailable(options: Options, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"simulate: port {options.port} of {options.host} is taken; name another --port, or --port 0 for a free one"
        )
    return f"simulate: cannot listen at {options.host}, port {options.port}: {error.strerror or error}"


async def _signal() -> None:
    """Return when SIGTERM or SIGINT comes."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()


def _allow_connections() -> None:
    """Every connection is an open file: take as many as the system lets this process have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _gate(options: Options, counting: Counting) -> Any:
    """Ask for the key, and count what every answer was."""
    wanted = f"Bearer {options.key}" if options.key is not None else None

    @web.middleware
    async def gate(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.path.startswith("/v1/"):
            return await handler(request)
        if wanted is not None and request.headers.get("Authorization") != wanted:
            response: web.StreamResponse = refuse(401, "Incorrect API key provided.", "invalid_api_key")
        else:
            response = await handler(request)
        counting.by_status[response.status] += 1
        return response

    return gate


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The one of uvloop, where it is installed."""
    if importlib.util.find_spec("uvloop") is None:
        return None
    import uvloop

    return uvloop.new_event_loop
