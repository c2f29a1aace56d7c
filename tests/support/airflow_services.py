"""A real Airflow for tests: four services as `make airflow` starts them, on PostgreSQL, spoken to over REST."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil

from infra.airflow import start as local

HEARTBEAT = "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT"
# A lost worker or scheduler is missed after seconds and not minutes.
IMPATIENT = {
    HEARTBEAT: "20",
    f"{HEARTBEAT}_DETECTION_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "20",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_POOL_SIZE": "3",
}


class Services:
    """The running services: `call` is REST, `kill` and `start` are what happens to machines at night."""

    def __init__(self, home: Path, run: str, port: int, database: str) -> None:
        self.home, self.port = home, port
        self.environment = {**local.settings(home, run, port, database), **IMPATIENT, "OPENAI_API_KEY": "simulated"}
        self.services: dict[str, local.Service] = {}
        self._token = ""

    def begin(self) -> None:
        local.migrate(self.environment, self.home)
        local.make_pools(self.environment, self.home)
        local.start(self.services, ["api-server"], self.environment, self.home)
        local.wait_for(self.services, self.home, self.port, ["metadatabase"])
        self.start("scheduler", "dag-processor", "triggerer")
        parts = ["scheduler", "dag_processor", "triggerer"]
        local.wait_for(self.services, self.home, self.port, parts)

    def start(self, *names: str) -> None:
        local.start(self.services, list(names), self.environment, self.home)

    def kill(self, name: str) -> None:
        """`kill -9` of one service; the processes that it has started live on."""
        os.kill(self.services[name].pid, signal.SIGKILL)
        self.services[name].wait()

    def call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """The JSON of an answer of the REST API."""
        self._token = self._token or self._login()
        data = None if body is None else json.dumps(body).encode()
        about = {"Content-Type": "application/json", "Authorization": f"Bearer {self._token}"}
        request = urllib.request.Request(f"{self._address}/api/v2{path}", data, about, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                found: dict[str, Any] = json.load(answer)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code}: {error.read().decode()}") from None
        return found

    def tasks(self, dag: str, run: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.call("GET", f"/dags/{dag}/dagRuns/{run}/taskInstances")["task_instances"]
        return found

    def log_of(self, name: str) -> str:
        return (self.home / f"{name}.log").read_text(errors="replace")

    @property
    def _address(self) -> str:
        return f"http://{local.HOST}:{self.port}"

    def _login(self) -> str:
        password = json.loads(local.password_file(self.home).read_text())[local.USER]
        body = json.dumps({"username": local.USER, "password": password}).encode()
        request = urllib.request.Request(f"{self._address}/auth/token", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return str(json.load(answer)["access_token"])


@contextmanager
def airflow_services(home: Path, run: str, port: int, database: str) -> Iterator[Services]:
    """Started services; at the end they and everything that they have started is stopped."""
    services = Services(home, run, port, database)
    ours = {process.pid for process in psutil.Process().children(recursive=True)}
    with ExitStack() as stack:
        stack.callback(_end_orphans, home, ours)
        stack.callback(lambda: [local.stop(service) for service in reversed(services.services.values())])
        services.begin()
        yield services


def until(true: Callable[[], Any], within: float, what: str) -> Any:
    """What `true` returns as soon as that is something. Raises AssertionError after so many seconds."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        if found := true():
            return found
        time.sleep(0.5)
    raise AssertionError(f"not within {within:.0f} s: {what}")


def _end_orphans(home: Path, before: set[int]) -> None:
    """End what a killed scheduler has left behind: processes whose environment names our home."""
    for process in psutil.process_iter():
        try:
            if process.pid not in before and process.environ().get("AIRFLOW_HOME") == str(home):
                process.kill()
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
