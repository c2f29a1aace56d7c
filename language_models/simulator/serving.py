"""The endpoint as an aiohttp application, and its life: listen, say where, serve until a signal comes."""

from __future__ import annotations

import asyncio
import errno
import importlib.util
import resource
import signal
import sys
from collections.abc import Callable

from aiohttp import web

from language_models.simulator.batch_rows import Rows
from language_models.simulator.batching import Batches
from language_models.simulator.chat import Chat
from language_models.simulator.control import Control, health, models
from language_models.simulator.counting import Counting
from language_models.simulator.doors import Doors
from language_models.simulator.drawing import Faults
from language_models.simulator.embedding import Embeddings
from language_models.simulator.filing import Files
from language_models.simulator.generating import Model
from language_models.simulator.guarding import guard
from language_models.simulator.options import MIB, Options
from schemas.errors import ConfigError


def serve(options: Options) -> None:
    """Serve until SIGTERM or SIGINT. Raises ConfigError where the port cannot be had."""
    _allow_connections()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(options))


def make_app(options: Options, doors: Doors) -> tuple[web.Application, Counting]:
    """All routes over one set of counts, faults and answers."""
    counting = Counting(options)
    faults = Faults(options.script, counting.strike)
    model = Model(faults, options.answers)
    chat = Chat(options, counting, faults, model)
    files = Files(counting, faults, options.max_files, options.max_stored_mib * MIB)
    batches = Batches(counting, faults, files, Rows(counting, faults, model, options.formats))
    control = Control(chat)
    app = web.Application(client_max_size=options.max_body_mib * MIB, middlewares=[guard(options, counting, doors)])
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
    doors = Doors(options.max_connections, options.read_timeout_s)
    app, counting = make_app(options, doors)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.05, keepalive_timeout=600, auto_decompress=False)
    await runner.setup()
    assert runner.server is not None
    watching = asyncio.create_task(doors.watch())
    try:
        server = await _listen(doors.open(runner.server), options)
        await _signal()
        server.close()
    finally:
        watching.cancel()
        counting.flush()
        await runner.cleanup()


async def _listen(doors: Doors, options: Options) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    try:
        server = await loop.create_server(doors, options.host, options.port, backlog=4096)
    except OSError as error:
        raise ConfigError(_unavailable(options, error)) from None
    port = server.sockets[0].getsockname()[1]
    if options.port_file is not None:
        options.port_file.write_text(f"{port}\n")
    sys.stdout.write(f"simulate: listening on http://{options.host}:{port}/v1\n")
    sys.stdout.flush()
    return server


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


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The one of uvloop, where it is installed."""
    if importlib.util.find_spec("uvloop") is None:
        return None
    import uvloop

    return uvloop.new_event_loop
