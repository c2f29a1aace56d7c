"""What is told of failures and missed deadlines, where, and that telling never makes anything worse."""

import asyncio
import json
import logging
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from pipelines.failures import missed_deadline, tell, told_of
from schemas.errors import BudgetError, ConfigError, DataError, EngineError, GateError, LeakError

NIGHT = "2026-11-01"
LATE = {
    "dag_id": "loregraph_x_profiles",
    "dag_run_id": "scheduled__1",
    "conf": None,
    "partition_key": None,
    "data_interval_start": "2026-11-01T02:00:00Z",
    "data_interval_end": "2026-11-02T02:00:00Z",
    "logical_date": "2026-11-01T02:00:00Z",
    "run_after": "2026-11-02T02:00:00Z",
}


@pytest.fixture
def run_file(tmp_path: Path) -> Path:
    file = tmp_path / "run.toml"
    file.write_text('name = "x"\nlake = "lake"\n[data]\npath = "."\n[airflow]\nwebhook_env = "TEST_WEBHOOK"\n')
    return file


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch):
    """A real server that keeps what is posted to it."""
    posted: list[dict[str, object]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("TEST_WEBHOOK", f"http://127.0.0.1:{server.server_port}/secret-path")
    yield posted
    server.shutdown()
    server.server_close()


def lines(run_file: Path) -> list[dict[str, object]]:
    file = run_file.with_name("lake") / "_work" / "nights" / NIGHT / "failures.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.mark.parametrize(
    ("error", "code", "step"),
    [
        (ConfigError("x"), 2, "Mend the run file"),
        (DataError("x"), 1, "Mend the source"),
        (LeakError("x"), 1, "Nothing was published"),
        (EngineError("x"), 1, "key, quota and address"),
        (GateError("x"), 3, "The version before stays live"),
        (BudgetError("x"), 4, "All answers are kept"),
        (OSError("x"), 1, "Clear the task"),
    ],
)
def test_every_class_of_error_has_a_next_step(error: Exception, code: int, step: str) -> None:
    told = told_of(error, {"task": "ask"})
    assert (told["task"], told["error"], told["message"]) == ("ask", type(error).__name__, "x")
    assert told["exit_code"] == code
    assert step in str(told["next_step"])


def test_a_killed_process_is_told_of_without_an_error() -> None:
    told = told_of(None, {})
    assert told["error"] == "Killed"
    assert "nothing is paid twice" in told["next_step"]


def test_a_failure_is_a_line_of_the_night_and_a_post_to_the_webhook(run_file: Path, webhook) -> None:
    for task in ("ask", "publish"):
        tell(run_file, NIGHT, told_of(GateError("failed"), {"task": task}))
    assert [line["task"] for line in lines(run_file)] == ["ask", "publish"]
    assert webhook == lines(run_file)


@pytest.mark.parametrize("url", ["", "ftp://x", "http://127.0.0.1:9/secret-path"])
def test_a_webhook_that_is_not_there_is_logged_without_its_address(
    run_file: Path, url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TEST_WEBHOOK", url)
    with caplog.at_level(logging.WARNING):
        tell(run_file, NIGHT, told_of(OSError("disk"), {}))
    assert len(lines(run_file)) == 1
    assert "TEST_WEBHOOK" in caplog.text
    assert "secret-path" not in caplog.text


def test_a_run_file_that_cannot_be_read_is_told_in_the_log(run_file: Path, caplog: pytest.LogCaptureFixture) -> None:
    run_file.write_text("name = ")
    with caplog.at_level(logging.WARNING):
        tell(run_file, NIGHT, told_of(ConfigError("torn"), {"task": "ingest"}))
    assert "not a TOML file" in caplog.text
    assert "'task': 'ingest'" in caplog.text


@pytest.mark.parametrize(
    "ran", [LATE, {**LATE, "data_interval_start": None, "logical_date": None}, {**LATE, "partition_key": NIGHT}]
)
def test_a_missed_deadline_names_the_night_that_is_late(run_file: Path, webhook, ran: dict[str, object]) -> None:
    asyncio.run(missed_deadline(str(run_file), "profiles", 1.5, {"dag_run": ran}))
    (line,) = lines(run_file)
    assert (line["ds"], line["dag"], line["error"]) == (NIGHT, "loregraph_x_profiles", "DeadlineMissed")
    assert "not done 1.5 hours after it was queued" in str(line["message"])
    assert webhook == [line]
