"""A lake of two nights for the web page, and the page served by a real server, as a browser needs it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipelines.job import run_night
from tests.support.watched_world import NO_TEXT, write_world

FIRST, SECOND = "2026-01-01", "2026-01-02"
CHROMIUM = "/usr/bin/chromium"
WIDE, PHONE = (1280, 900), (390, 844)


def two_nights(home: Path) -> Path:
    """Run two nights of a small world, the second with nothing new; returns the run file."""
    file = write_world(home, NO_TEXT)
    for ds in (FIRST, SECOND):
        run_night(file, ds=ds)
    return file


@contextmanager
def served(app: Any) -> Iterator[str]:
    """The address of an application that is served on a free port of this machine while the block lasts."""
    import uvicorn

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)
