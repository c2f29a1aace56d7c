"""A real PostgreSQL server on 127.0.0.1 for tests: started once per session, emptied for every test."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

# without fsync, which is for power cuts: our tests kill processes
SETTINGS = "-c fsync=off -c max_connections=50 -c shared_buffers=32MB -c listen_addresses=127.0.0.1"


class PostgresServer:
    """A server in a folder of its own, run by user postgres when the tests are run by root, who may not run one."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self.programs, self.folder, self.port = programs, folder, _free_port()

    def initialise(self) -> None:
        self._run("initdb", "-A", "trust", "-U", "postgres", "--no-sync")

    def start(self) -> None:
        options = f"-p {self.port} -k {self.folder} {SETTINGS}"
        self._run("pg_ctl", "-w", "-o", options, "-l", str(self.folder / "log"), "start")

    def stop(self, mode: str = "fast") -> None:
        self._run("pg_ctl", "-w", "-m", mode, "stop")

    def address(self, database: str = "postgres") -> str:
        return f"postgresql://postgres:secret-of-tests@127.0.0.1:{self.port}/{database}"

    def empty(self) -> str:
        """The address of the database, without the ledger of the test before."""
        import psycopg

        with psycopg.connect(self.address(), autocommit=True) as connection:
            connection.execute("DROP SCHEMA IF EXISTS loregraph CASCADE")
        return self.address()

    def _run(self, program: str, *options: str) -> None:
        command = [str(self.programs / program), "-D", str(self.folder / "data"), *options]
        done = subprocess.run([*_as_postgres(), *command], cwd=self.folder, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stderr}{_tail(self.folder / 'log')}")


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A running server; skips the test, saying why, where none is installed."""
    pytest.importorskip("psycopg", reason="psycopg is not installed (extra `postgres`)")
    if (programs := _programs()) is None:
        pytest.skip("no PostgreSQL server is installed (Debian: apt-get install postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="loregraph-postgres-", dir="/tmp"))
    if os.getuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    server = PostgresServer(programs, folder)
    try:
        server.initialise()
        server.start()
        yield server
        server.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path | None:
    found = shutil.which("initdb")
    places = [Path(found).resolve().parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((place for place in places if (place / "initdb").exists() and (place / "postgres").exists()), None)


def _as_postgres() -> list[str]:
    if os.getuid() != 0:
        return []
    try:
        pwd.getpwnam("postgres")
    except KeyError:
        pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
    return ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups"]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _tail(log: Path) -> str:
    return log.read_text()[-2000:] if log.exists() else ""
