"""A local Airflow with Loregraph's DAGs and pools: four services on the loopback address, stopped by Ctrl-C.

For looking and trying out, not for production: one machine, one user, SQLite unless --database names a PostgreSQL.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import IO, Any

import psutil  # type: ignore[import-untyped]  # comes with Airflow

from infra.airflow.pools import pools_json
from schemas.errors import ConfigError

REPOSITORY = Path(__file__).resolve().parents[2]
HOST, USER = "127.0.0.1", "admin"
# Task logs are files of this machine, so no service has to hand them out over a port of its own.
SERVICES = {
    "api-server": [],
    "scheduler": ["--skip-serve-logs"],
    "dag-processor": [],
    "triggerer": ["--skip-serve-logs"],
}
HEALTHY_WITHIN, STOPPED_WITHIN = 180.0, 10.0  # seconds

Service = subprocess.Popen[bytes]


class StartError(Exception):
    """Airflow cannot be started or has ended by itself; says why and what to do."""


def main() -> int:
    """Start, wait until it is healthy, say where it is, and stay until Ctrl-C; the exit code."""
    options = read_options()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    try:
        serve(options.home.resolve(), options.run, options.port, options.database)
    except KeyboardInterrupt:
        return 0
    except StartError as error:
        say(f"error: {error}")
        return 1
    return 0


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", default="infra/runs/sample.toml", help="run files or folders, separated by ':'")
    parser.add_argument("--port", type=int, default=8080, help="port of the web page and API (default 8080)")
    parser.add_argument("--home", type=Path, default=REPOSITORY / ".airflow", help="folder of database and logs")
    parser.add_argument("--database", help="postgresql:// address; default: a SQLite file in --home")
    return parser.parse_args()


def serve(home: Path, run: str, port: int, database: str | None = None) -> None:
    """Run the four services until one ends or the user stops them. Raises StartError."""
    home.mkdir(parents=True, exist_ok=True)
    check_run_files(run)
    with only_one(home):
        check_port(port)
        environment = settings(home, run, port, database)
        say("preparing the database and the pools")
        migrate(environment, home)
        make_pools(environment, home)
        say(f"starting {', '.join(SERVICES)}")
        with stopped_at_the_end() as services:
            # The scheduler hands out a task at once, and a task that does not reach the API has failed.
            start(services, ["api-server"], environment, home)
            wait_for(services, home, port, ["metadatabase"])
            start(services, ["scheduler", "dag-processor", "triggerer"], environment, home)
            wait_for(services, home, port, ["scheduler", "dag_processor", "triggerer"])
            password = json.loads(password_file(home).read_text())[USER]
            say(f"Airflow is ready: http://{HOST}:{port}  login {USER}  password {password}")
            say(f"logs: {home}/*.log; Ctrl-C stops it")
            while not (ended := [name for name, service in services.items() if service.poll() is not None]):
                time.sleep(1)
        raise StartError(f"{ended[0]} has ended by itself\n{last_lines(home, ended[0])}")


def settings(home: Path, run: str, port: int, database: str | None = None) -> dict[str, str]:
    """The environment of every service: one address that all of them agree on, secrets made once per home."""
    address = f"http://{HOST}:{port}"
    files = ":".join(str(Path(file).resolve()) for file in run.split(":") if file)
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")])),
        "LOREGRAPH_RUN": files,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "infra" / "airflow" / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": str(os.cpu_count() or 2),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{address}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(password_file(home)),
        **database_settings(home, database),
        "AIRFLOW__API__HOST": HOST,
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": address,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__SECRET_KEY": secret(home, "session"),
        "AIRFLOW__API_AUTH__JWT_SECRET": secret(home, "jwt"),
    }


def database_settings(home: Path, database: str | None) -> dict[str, str]:
    """Where Airflow keeps what it knows. psycopg 3, which the ledger has too, is both of the drivers that it needs."""
    if database is None:
        return {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db"}
    address = "postgresql+psycopg://" + database.partition("://")[2]
    return {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": address, "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": address}


def password_file(home: Path) -> Path:
    """The login file of Airflow's simple authentication; made once."""
    file = home / "passwords.json"
    if not file.exists():
        write_private(file, json.dumps({USER: secrets.token_urlsafe(12)}))
    return file


def secret(home: Path, name: str) -> str:
    """A random secret of this home; made once, so that services started later agree with it."""
    file = home / f"{name}.secret"
    if not file.exists():
        write_private(file, secrets.token_urlsafe(48))
    return file.read_text()


def write_private(file: Path, text: str) -> None:
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
        stream.write(text)


@contextmanager
def only_one(home: Path) -> Iterator[None]:
    """Hold the home: two schedulers on one SQLite file would spoil it."""
    with (home / "start.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StartError(f"an Airflow is running in {home} already; stop it, or give another --home") from None
        yield


def check_run_files(run: str) -> None:
    for file in filter(None, run.split(":")):
        if not Path(file).exists():
            raise StartError(f"{file}: no such run file; infra/runs has some to start from")


def check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as error:
            raise StartError(f"port {port} cannot be used: {error}; give another with --port") from None


def migrate(environment: dict[str, str], home: Path) -> None:
    run_airflow(["db", "migrate"], environment, home, "the database cannot be prepared")


def make_pools(environment: dict[str, str], home: Path) -> None:
    """Pools as the run files want them: a task whose pool does not exist waits for ever."""
    try:
        (home / "pools.json").write_text(pools_json(environment["LOREGRAPH_RUN"]))
    except ConfigError as error:
        raise StartError(str(error)) from None
    run_airflow(["pools", "import", str(home / "pools.json")], environment, home, "the pools cannot be made")


def run_airflow(command: list[str], environment: dict[str, str], home: Path, failing: str) -> None:
    name = command[0]
    with log_file(home, name) as log:
        done = subprocess.run(
            [sys.executable, "-m", "airflow", *command], env=environment, stdout=log, stderr=log, check=False
        )
    if done.returncode:
        raise StartError(f"{failing}\n{last_lines(home, name)}")


def start(services: dict[str, Service], names: list[str], environment: dict[str, str], home: Path) -> None:
    """Start services, each in a process group of its own, so that Ctrl-C reaches this process alone."""
    for name in names:
        command = [sys.executable, "-m", "airflow", name, *SERVICES[name]]
        with log_file(home, name) as log:
            services[name] = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )


@contextmanager
def stopped_at_the_end() -> Iterator[dict[str, Service]]:
    """Services by name; whatever was started is stopped, the last one first."""
    services: dict[str, Service] = {}
    try:
        yield services
    finally:
        say("stopping")
        for name in reversed(services):
            stop(services[name])


def stop(service: Service) -> None:
    """SIGTERM and wait; what is left of the service and its children, a running task for one, is then killed.

    A killed task is safe: every step writes whole tables or nothing, and answers are in the ledger.
    """
    family = [psutil.Process(service.pid), *children(service)] if service.poll() is None else []
    service.terminate()
    with suppress(subprocess.TimeoutExpired):
        service.wait(STOPPED_WITHIN)
    for process in [*family, *children(service)]:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    service.wait()


def children(service: Service) -> list[psutil.Process]:
    """The processes that a service has started, and theirs; a task leaves the process group of its service."""
    with suppress(psutil.NoSuchProcess):
        return list(psutil.Process(service.pid).children(recursive=True))
    return []


def wait_for(services: dict[str, Service], home: Path, port: int, parts: list[str]) -> None:
    """Wait until the health endpoint calls these parts healthy. Raises StartError when a service ends before."""
    deadline = time.monotonic() + HEALTHY_WITHIN
    while time.monotonic() < deadline:
        for name, service in services.items():
            if service.poll() is not None:
                raise StartError(f"{name} did not start\n{last_lines(home, name)}")
        health = read_health(port)
        if all(health.get(part, {}).get("status") == "healthy" for part in parts):
            return
        time.sleep(0.5)
    raise StartError(f"Airflow was not healthy after {HEALTHY_WITHIN:.0f} s; see {home}/*.log")


def read_health(port: int) -> dict[str, Any]:
    """What the health endpoint says; empty while it does not answer."""
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}/api/v2/monitor/health", timeout=5) as answer:
            return dict(json.load(answer))
    except (urllib.error.URLError, OSError, ValueError):
        return {}


def log_file(home: Path, name: str) -> IO[bytes]:
    return (home / f"{name}.log").open("wb")


def last_lines(home: Path, name: str, count: int = 15) -> str:
    lines = (home / f"{name}.log").read_text(errors="replace").splitlines()[-count:]
    return "\n".join([*(f"  {line}" for line in lines), f"  ({home}/{name}.log)"])


def interrupt(number: int, _: FrameType | None) -> None:
    """Make SIGTERM end the same way as Ctrl-C, and only once."""
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
