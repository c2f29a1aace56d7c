"""The simulated endpoint in a process of its own, so that it survives the processes that a test or benchmark kills."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from schemas.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]


class Simulator:
    """A running `loregraph simulate`. `url` ends in /v1 and goes into llm.base_url."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process, self.url = process, url
        self.root = url.removesuffix("/v1")

    def stats(self, keys: bool = False) -> dict[str, Any]:
        """The counts; with `keys` also {request id: times paid} and under `messages` {sha256 of user text: times}."""
        return self.ask("GET", "/stats?keys=1" if keys else "/stats")

    def faults(self, script: Mapping[str, Any]) -> None:
        """Go on by this script; what it does not name is off."""
        self.ask("POST", "/faults", script)

    def change(self, script: Mapping[str, Any]) -> None:
        """Change what this script names, keep the rest."""
        self.ask("PATCH", "/faults", script)

    def reset(self) -> None:
        """Start the counts anew."""
        self.ask("POST", "/stats/reset")

    def kill(self) -> None:
        """End the process as `kill -9` does."""
        self.process.kill()
        self.process.wait()

    def ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """The answer's JSON. Raises ConfigError with what the endpoint found wrong."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.root + path, data, {"content-type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                answer: dict[str, Any] = json.load(response)
        except urllib.error.HTTPError as error:
            raise ConfigError(f"{method} {path}: {error.code}: {error.read().decode()}") from None
        return answer


@contextmanager
def simulator(*options: str) -> Iterator[Simulator]:
    """`loregraph simulate` with these options on a free port, until the block ends. Raises ConfigError for a wrong one.

    >>> with simulator("--fault", "rate_limit=0.05", "--latency", "0.02") as endpoint:
    ...     llm = Llm(engine="openai", base_url=endpoint.url)
    """
    command = [sys.executable, "-m", "language_models.simulator", "--port", "0", *options]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if "listening on" not in line:
            raise ConfigError(f"the simulator did not start: exit code {process.wait(10)}; stderr says why")
        yield Simulator(process, line.split("listening on ")[1].strip())
    finally:
        _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
