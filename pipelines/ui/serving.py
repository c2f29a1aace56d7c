"""`loregraph ui`: the page served on this machine, or on others behind a token."""

from __future__ import annotations

import os
import secrets
import socket
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.ui.app import create_page
from pipelines.ui.rendering import environment
from pipelines.ui.security import TOKEN_ENV, TokenGate, is_loopback, open_to_all, served_names
from pipelines.ui.shelf import Shelf, shelves_of
from pipelines.ui.texts import warm
from schemas.errors import ConfigError


def serve(files: list[Path], lake: str | None, host: str, port: int, say: Any) -> None:
    """Serve until interrupted. Raises ConfigError where the port is taken or the token too short."""
    import uvicorn

    token = os.environ.get(TOKEN_ENV) or (None if is_loopback(host) else secrets.token_urlsafe(24))
    shelves = shelves_of(files, lake)
    threading.Thread(target=_warm, args=(shelves,), daemon=True).start()
    app = create_page(shelves, TokenGate(token) if token else open_to_all, served_names(host))
    with _listening(host, port) as listener:
        shown = f"[{host}]" if ":" in host else host
        say(f"Loregraph's page: http://{shown}:{listener.getsockname()[1]}/  (stop it with Ctrl+C)")
        if token and not os.environ.get(TOKEN_ENV):
            say(f"token: {token}  (made for this start; set {TOKEN_ENV} to choose one)")
        config = uvicorn.Config(app, access_log=False, log_level="warning", server_header=False)
        uvicorn.Server(config).run(sockets=[listener])


def _warm(shelves: Mapping[str, Shelf]) -> None:
    """Compile the first templates and read the first tables while the server starts."""
    for name in ("overview.html.j2", "texts.html.j2"):
        environment().get_template(name)
    for shelf in shelves.values():
        warm(shelf)


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host.strip("[]"), port))
        listener.listen()  # so that whoever reads the address is not refused
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"ui: {host}:{port}: {error.strerror or error}; choose another with --port or --host"
        ) from None
    return listener
