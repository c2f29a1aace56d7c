"""A real Redis server on 127.0.0.1 for tests: started once per session, emptied for every test."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SETTINGS = ("--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--databases", "1")


@contextmanager
def redis_server() -> Iterator[str]:
    """The address of a running server; skips the test, saying why, where none is installed."""
    redis = pytest.importorskip("redis", reason="redis is not installed (extra `redis`)")
    if (program := shutil.which("redis-server")) is None:
        pytest.skip("no Redis server is installed (Debian: apt-get install redis-server)")
    folder, port = Path(tempfile.mkdtemp(prefix="loregraph-redis-")), _free_port()
    command = [program, "--port", str(port), "--dir", str(folder), *SETTINGS]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with redis.Redis(port=port) as client:
            _wait(client, redis.ConnectionError)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


def emptied(address: str) -> str:
    """The address of a server that holds nothing."""
    import redis

    with redis.Redis.from_url(address) as client:
        client.flushall()
    return address


def _wait(client, not_yet: type[Exception], seconds: float = 10.0) -> None:
    until = time.monotonic() + seconds
    while True:
        try:
            client.ping()
            return
        except not_yet:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
