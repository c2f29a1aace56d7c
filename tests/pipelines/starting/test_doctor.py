"""`loregraph doctor`: what it finds at real endpoints, folders and ledgers, and what it says to do next."""

from __future__ import annotations

import json
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from pipelines.starting import doctor
from pipelines.starting.check import Check
from pipelines.starting.endpoint import ask
from pipelines.starting.language import Place, check_endpoint
from pipelines.starting.machine import check_clock, check_disk, check_java
from pipelines.starting.packages import Requirement, check_packages, requirements, satisfies
from tests.support.simulator import simulator
from tests.support.small_world import RUN

KEY = "sk-very-secret-key"


def with_endpoint(url: str, model: str = "simulated") -> str:
    return RUN.replace(
        "[[recipes]]", f'[llm]\nengine = "openai"\nmodel = "{model}"\nbase_url = "{url}"\n[[recipes]]', 1
    )


def checks_of(url: str, model: str = "simulated", call: bool = False, limit_s: float = 10.0) -> dict[str, Check]:
    found = check_endpoint(Place(url, "OPENAI_API_KEY", model), call, limit_s)
    return {each.name.split(" ")[0]: each for each in found if isinstance(each, Check)}


@pytest.fixture(scope="module")
def endpoint():
    with simulator("--key", KEY, "--rpm", "500") as running:
        yield running


@contextmanager
def answering(status: int, headers: dict[str, str], body: bytes = b"") -> Iterator[tuple[str, list[str]]]:
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(str(self.headers.get("Authorization")))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1", seen
        server.shutdown()


# endpoints


def test_a_good_endpoint_is_asked_for_nothing_that_costs(endpoint, monkeypatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    found = checks_of(endpoint.url)
    assert {name: check.state for name, check in found.items()} == dict.fromkeys(found, "ok")
    assert set(found) == {"key", "endpoint", "model", "quota"}
    assert "asked GET /models" in found["endpoint"].found
    assert endpoint.ask("GET", "/health") == {"status": "ok"}


def test_a_call_shows_the_quota(endpoint, monkeypatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    found = checks_of(endpoint.url, call=True)
    assert found["call"].state == "ok"
    assert "x-ratelimit-limit-requests 500" in found["quota"].found


def test_a_wrong_key_is_refused_and_never_shown(endpoint, monkeypatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong-key")
    found = checks_of(endpoint.url)
    assert (found["endpoint"].state, "model" in found) == ("fail", False)
    assert "401" in found["endpoint"].found
    assert "OPENAI_API_KEY" in found["endpoint"].next
    assert "sk-wrong-key" not in str(found)


def test_an_unknown_model_is_told_with_the_nearest(endpoint, monkeypatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    found = checks_of(endpoint.url, "gpt-4o-mimi")["model"]
    assert (found.state, found.next.startswith("did you mean gpt-4o-mini?")) == ("fail", True)


def test_no_key_is_needed_on_this_machine_alone(monkeypatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    found = checks_of("http://endpoint.invalid/v1", limit_s=5)
    assert (found["key"].state, "export OPENAI_API_KEY" in found["key"].next) == ("fail", True)
    assert found["endpoint"].state == "fail"


def test_a_refused_connection() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    found = checks_of(f"http://127.0.0.1:{port}/v1")["endpoint"]
    assert (found.state, "Connection refused" in found.found) == ("fail", True)


@pytest.mark.parametrize("drips", [False, True])
def test_an_endpoint_that_hangs_is_left(drips) -> None:
    def drip() -> None:
        connection, _ = server.accept()
        with closing(connection):
            for _ in range(100 if drips else 0):
                try:
                    connection.send(b"H" if drips else b"")
                except OSError:
                    return
                time.sleep(0.1)
            time.sleep(0 if drips else 3)

    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        threading.Thread(target=drip, daemon=True).start()
        started = time.monotonic()
        found = checks_of(f"http://127.0.0.1:{server.getsockname()[1]}/v1", limit_s=1.0)["endpoint"]
        assert time.monotonic() - started < 2.5
    assert (found.state, "no answer within 1 s" in found.found) == ("fail", True)


def test_a_key_is_not_carried_to_another_address(monkeypatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with answering(200, {}) as (elsewhere, seen), answering(302, {"Location": f"{elsewhere}/models"}) as (url, asked):
        found = checks_of(url)["endpoint"]
    assert (found.state, asked, seen) == ("fail", [f"Bearer {KEY}"], [])
    assert elsewhere in found.found


def test_an_echoed_key_is_not_repeated() -> None:
    with answering(200, {"x-ratelimit-limit-requests": KEY}, json.dumps({"data": [{"id": KEY}]}).encode()) as (url, _):
        assert KEY not in str(ask(f"{url}/models", KEY, 5.0))


@pytest.mark.parametrize(
    ("status", "body", "state"),
    [(404, b"no", "warn"), (429, b"", "warn"), (500, b"", "fail"), (200, b"<html>", "warn")],
)
def test_answers_that_are_no_list_of_models(status, body, state) -> None:
    with answering(status, {}, body) as (url, _):
        assert checks_of(url)["endpoint"].state == state


# the run


def test_a_run_with_all_that_it_needs_is_healthy(world, endpoint, monkeypatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    found = doctor.examine(world(run=with_endpoint(endpoint.url)))
    failed = [check for check in found["checks"] if check["state"] == "fail"]
    assert (found["healthy"], failed) == (True, [])
    names = {check["name"].split(" ")[0] for check in found["checks"]}
    assert {"run", "python", "packages", "lake", "work", "data", "key", "model", "encoder", "ledger", "last"} <= names
    assert doctor.lines(found)[-1].startswith("nothing stands in the way")


def test_each_thing_that_is_wrong_with_a_run_is_named(world) -> None:
    file = world(run=with_endpoint("http://127.0.0.1:9/v1"))
    (file.parent / "data" / "interactions.csv").unlink()
    work = file.parent / "lake" / "_work"
    work.mkdir(parents=True)
    (work / "ledger.sqlite").write_bytes(b"SQLite format 3\0" + b"\xff" * 4000)
    (work / "nights" / "2026-01-01" / "steps").mkdir(parents=True)
    (work / "nights" / "2026-01-01" / "steps" / "split.json").write_text("{}")
    checks = {check["name"].split(" ")[0]: check for check in doctor.examine(file)["checks"]}
    assert {name for name, check in checks.items() if check["state"] == "fail"} >= {"data", "endpoint", "ledger"}
    assert "loregraph init" in checks["data"]["next"]
    assert "loregraph salvage" in checks["ledger"]["next"]
    assert (checks["last"]["state"], checks["release"]["state"]) == ("warn", "warn")
    assert all(check["next"] for check in checks.values() if check["state"] != "ok")


def test_a_whole_ledger_is_counted_and_not_written(world) -> None:
    file = world()
    ledger = file.parent / "lake" / "_work" / "ledger.sqlite"
    ledger.parent.mkdir(parents=True)
    with closing(sqlite3.connect(ledger)) as connection:
        connection.execute("CREATE TABLE responses (key TEXT)")
        connection.execute("INSERT INTO responses VALUES ('a')")
        connection.commit()
    before = ledger.read_bytes()
    found = next(check for check in doctor.examine(file)["checks"] if check["name"] == "ledger")
    assert (found["state"], "1 answers" in found["found"]) == ("ok", True)
    assert ledger.read_bytes() == before


def test_the_command_says_the_same_as_json_and_by_its_exit_code(world) -> None:
    command = [sys.executable, "-m", "pipelines.cli", "doctor", "--run"]
    done = subprocess.run([*command, str(world(run="name = 1")), "--json"], capture_output=True, text=True, timeout=120)
    found = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, found["healthy"], found["checks"][0]["name"]) == (1, False, "run file")
    assert "Traceback" not in done.stderr


# the machine


def test_a_core_install_is_told_what_is_missing() -> None:
    """Without torch, pandas, matplotlib and the rest, as they are not there when nothing imports them."""
    hidden = ("torch", "sentence_transformers", "transformers", "pandas", "openai", "matplotlib", "great_expectations")
    code = (
        "import sys, json\n"
        f"for name in {hidden}: sys.modules[name] = None\n"
        "from pipelines.starting.doctor import examine\n"
        "print(json.dumps(examine()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert {check["name"] for check in json.loads(done.stdout)["checks"]} >= {
        "python",
        "packages",
        "java",
        "gpu",
        "disk",
    }


def test_packages_that_are_missing_or_too_old() -> None:
    asked = [Requirement("pydantic", ">=1,<2", None), Requirement("no-such-package", ">=1", "text")]
    core, text, _ = check_packages(asked, {"text"})
    assert (core.state, core.found.startswith("pydantic: expected >=1,<2, found 2")) == ("fail", True)
    assert (text.state, text.next) == ("fail", "run: pip install 'loregraph[text]'")
    assert check_packages(asked, None)[1].state == "warn"
    assert {each.extra for each in requirements()} >= {None, "graph", "text", "spark"}


@pytest.mark.parametrize(
    ("version", "wanted", "fits"),
    [
        ("2.13.0+cpu", "==2.13.0", True),
        ("2.3.3", ">=2.3,<3", True),
        ("3.0", ">=2.3,<3", False),
        ("1.24", ">=1.24.0", True),
        ("0.9", ">=0.10", False),
        ("1.2.9", "==1.2.*", True),
    ],
)
def test_versions_are_compared_by_number(version, wanted, fits) -> None:
    assert satisfies(version, wanted) is fits


def test_a_folder_that_is_a_file_or_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert check_disk("lake", tmp_path / "file").state == "fail"
    assert "not there yet" in check_disk("lake", tmp_path / "a" / "b").found
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_java_is_needed_by_spark_alone(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert [check_java(needed=needed).state for needed in (True, False)] == ["fail", "ok"]
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "java").write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    (tmp_path / "bin" / "java").chmod(0o755)
    old = check_java(needed=True)
    assert (old.state, "version 11" in old.found) == ("fail", True)


def test_a_clock_that_is_off() -> None:
    now = datetime.now(UTC)
    assert check_clock(now - timedelta(hours=2)).state == "warn"
    assert check_clock(now + timedelta(seconds=30)).state == "ok"
    assert check_clock(now=datetime(1970, 1, 1, tzinfo=UTC)).state == "fail"
