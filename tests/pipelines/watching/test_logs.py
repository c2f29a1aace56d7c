"""Log lines of real nights: whole, of the right step, bounded, and without secrets or prompts."""

import json
import logging
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pipelines.job import run_night
from pipelines.steps import ask
from pipelines.watching.logs import MOST_LINES, PACKAGES, bound, logged, told_of
from schemas.errors import BudgetError, ConfigError, EngineError
from schemas.run import load_run
from tests.support.faulty_endpoint import chat, endpoint, refuse
from tests.support.small_world import RUN
from tests.support.watched_world import BAD, GOOD

DS = "2026-01-01"
KEY = "sk-planted-0815-never-to-be-seen"
PAID = """
[llm]
engine = "openai"
model = "m"
base_url = "{url}"
concurrency = 4
usd_per_million_output = 1000.0
max_output_tokens = 100
"""


def lines_of(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]


def named(lines: list[dict], event: str) -> list[dict]:
    return [line for line in lines if line["event"] == event]


@pytest.fixture
def at(world, monkeypatch):
    """A small run that asks an endpoint, split and ready to be asked about."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)

    def ready(url: str, extra: str = "") -> Path:
        file = world(run=RUN + PAID.format(url=url) + extra)
        for step in ("ingest", "split"):
            run_night(file, step=step, ds=DS)
        return file

    return ready


def test_every_line_of_a_night_says_when_what_run_night_and_step(nights) -> None:
    lines = lines_of(nights.work / "nights" / GOOD)
    assert {(line["run"], line["ds"]) for line in lines} == {("mini", GOOD)}
    assert all(line["ts"].endswith("Z") and line["level"] in ("info", "warning", "error") for line in lines)
    started = [line["step"] for line in named(lines, "step_started")]
    assert started == [line["step"] for line in named(lines, "step_finished")]
    assert started[:4] == ["ingest", "split", "plan", "generate"]
    assert started[-1] == "report"
    (promotion,) = named(lines, "promotion")
    assert (promotion["outcome"], promotion["release"], promotion["model"]) == ("promoted", 1, "lightgcn")
    finished = next(line for line in named(lines, "step_finished") if line["step"] == "ingest")
    assert finished["counts"] == {"users": 38, "items": 40, "interactions": 380, "rejected": 0}
    assert finished["seconds"] >= 0
    assert finished["peak_mib"] > 50
    published = {line["table"]: line["rows"] for line in named(lines, "published")}
    assert (published["users"], published["splits"], published["prompts"]) == (38, 380, 78)


def test_a_failed_gate_is_a_warning_and_the_end_of_its_step(nights) -> None:
    lines = lines_of(nights.work / "nights" / BAD)
    gate = next(line for line in named(lines, "gate") if not line["success"])
    assert (gate["table"], gate["level"]) == ("profiles", "warning")
    assert gate["failed"] >= 1
    (failed,) = named(lines, "gate_failed")
    assert (failed["step"], failed["error"], failed["level"]) == ("generate", "GateError", "error")
    assert failed["detail"].startswith("table profiles:")
    assert "generate" not in [line["step"] for line in named(lines, "step_finished")]


def test_no_handler_and_no_level_is_left_behind(nights) -> None:
    for name in PACKAGES:
        logger = logging.getLogger(name)
        assert not logger.handlers
        assert logger.level == logging.NOTSET


def test_faults_of_an_endpoint_are_told_with_the_key_and_nothing_that_it_said(at) -> None:
    refused = set[str]()

    def respond(body: dict, attempt: int):
        refused.add(body["messages"][-1]["content"] if not refused else next(iter(refused)))
        echo = f"no: {KEY} {body['messages'][-1]['content']}"  # a gateway that repeats what it was sent
        if attempt == 1:
            return refuse(429, message=echo, retry_after="0")
        if body["messages"][-1]["content"] in refused:
            return refuse(400, message=echo)
        return refuse(500, message=echo) if attempt == 2 else chat()

    with endpoint(respond) as server:
        file = at(server.url)
        ask(load_run(file), DS, recipe="rlmrec.item", shard=0, shards=2)
    folder = file.parent / "lake" / "_work" / "nights" / DS
    lines = lines_of(folder)
    for event, reason in (("rate_limited", "rate_limit"), ("retried", "server"), ("call_given_up", "bad_request")):
        told = named(lines, event)
        assert told, event
        for line in told:
            assert (line["reason"], line["step"], line["recipe"]) == (reason, "ask", "rlmrec.item")
            assert (line["shard"], line["shards"], line["model"]) == (0, 2, "m")
            assert len(line["key"]) == 64
    whole = (folder / "log.jsonl").read_text(encoding="utf-8")
    assert KEY not in whole
    assert "Crypt" not in whole  # of every prompt
    assert "Gothic" not in whole


def test_an_outage_is_told_once_when_the_breaker_opens_and_once_when_it_closes(at) -> None:
    served = {"count": 0}

    def respond(body: dict, attempt: int):
        served["count"] += 1
        return refuse(503) if served["count"] <= 8 else chat(json.dumps({"summarization": f"Text {served['count']}."}))

    with endpoint(respond) as server:
        file = at(server.url, "attempts = 9\n")
        ask(load_run(file), DS, recipe="rlmrec.item")
    lines = lines_of(file.parent / "lake" / "_work" / "nights" / DS)
    (opened,), (closed,) = named(lines, "breaker_open"), named(lines, "breaker_closed")
    assert (opened["level"], opened["step"], opened["recipe"]) == ("warning", "ask", "rlmrec.item")
    assert opened["ts"] <= closed["ts"]


def test_a_budget_that_is_reached_has_an_event_of_its_own(at) -> None:
    with endpoint(lambda body, attempt: chat()) as server:
        file = at(server.url)
        with pytest.raises(BudgetError):
            run_night(file, step="generate", ds=DS, max_cost_usd=0.3)
    (reached,) = named(lines_of(file.parent / "lake" / "_work" / "nights" / DS), "budget_reached")
    assert (reached["error"], reached["step"]) == ("BudgetError", "generate")
    assert "cap of $0.3" in reached["detail"]


def test_stderr_is_json_alone_where_the_environment_asks_for_it(world, monkeypatch, capsys) -> None:
    monkeypatch.setenv("LOREGRAPH_LOG", "json")
    run_night(world(), step="ingest", ds=DS)
    events = [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]
    assert events[0] == "step_started"
    assert events[-1] == "step_finished"


def test_the_run_file_may_ask_for_it_and_the_environment_goes_before(world, monkeypatch, capsys) -> None:
    file = world(run=RUN + '[watch]\nlog = "json"\n')
    run_night(file, step="ingest", ds=DS)
    assert json.loads(capsys.readouterr().err.splitlines()[0])["step"] == "ingest"
    monkeypatch.setenv("LOREGRAPH_LOG", "plain")
    run_night(file, step="split", ds=DS)
    assert capsys.readouterr().err.startswith("split ")


def test_a_log_that_cannot_be_written_does_not_end_the_night(world) -> None:
    file = world()
    log = file.parent / "lake" / "_work" / "nights" / DS / "log.jsonl"
    log.mkdir(parents=True)
    assert run_night(file, step="ingest", ds=DS)["seconds"]["ingest"] >= 0


def test_lines_of_one_event_are_bounded_and_the_rest_is_counted(tmp_path: Path) -> None:
    with logged(tmp_path / "log.jsonl", {"step": "ask"}, frozenset(), as_json=False):
        for number in range(MOST_LINES + 50):
            logging.getLogger("language_models.scheduler").info("x", extra={"event": "retried", "attempt": number})
    lines = lines_of(tmp_path)
    assert len(named(lines, "retried")) == MOST_LINES
    assert named(lines, "lines_left_out")[0]["left_out"] == {"retried": 50}


def test_two_steps_at_once_keep_their_lines_apart(tmp_path: Path) -> None:
    met = threading.Barrier(2)

    def step(name: str) -> None:
        with logged(tmp_path / f"{name}.jsonl", {"step": name}, frozenset(), as_json=False), bound(recipe=f"r.{name}"):
            met.wait(10)
            for _ in range(50):
                logging.getLogger("features.x").info("y", extra={"event": "y"})
            met.wait(10)

    threads = [threading.Thread(target=step, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    for name in ("one", "two"):
        lines = [json.loads(line) for line in (tmp_path / f"{name}.jsonl").read_text().splitlines()]
        assert [(line["step"], line["recipe"]) for line in lines] == [(name, f"r.{name}")] * 50


def test_a_thread_without_a_context_belongs_to_the_step_that_runs(tmp_path: Path) -> None:
    with logged(tmp_path / "log.jsonl", {"step": "ask"}, frozenset(), as_json=False):
        thread = threading.Thread(target=lambda: logging.getLogger("language_models.x").info("z", extra={"event": "z"}))
        thread.start()
        thread.join()
    assert lines_of(tmp_path)[0]["step"] == "ask"


WRITER = """
import logging, sys
from pathlib import Path
from pipelines.watching.logs import logged
import pipelines.watching.logs as logs
logs.MOST_LINES = 10_000
with logged(Path(sys.argv[1]), {"step": sys.argv[2]}, frozenset(), as_json=False):
    for number in range(400):
        logging.getLogger("features").info("x", extra={"event": "x", "attempt": number, "reason": "r" * 3000})
"""


def test_processes_that_share_a_file_write_whole_lines(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    running = [subprocess.Popen([sys.executable, "-c", WRITER, str(file), str(number)]) for number in range(3)]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    lines = lines_of(tmp_path)
    for number in range(3):
        mine = [line["attempt"] for line in lines if line["step"] == str(number)]
        assert mine == list(range(400))


def test_what_others_said_is_not_told_and_a_password_in_an_address_neither() -> None:
    assert told_of(EngineError("http://x: 400: your prompt was: secret")) == {"error": "EngineError"}
    assert told_of(ValueError("a prompt")) == {"error": "ValueError"}
    told = told_of(ConfigError("llm.ledger: postgresql://me:hidden@host/db: no such database"))
    assert told["detail"] == "llm.ledger: postgresql://me:***@host/db: no such database"


def test_fields_that_are_not_known_are_not_written_and_secrets_are_covered(tmp_path: Path) -> None:
    with logged(tmp_path / "log.jsonl", {"step": "ask"}, frozenset({KEY}), as_json=False):
        told = {"event": "x", "prompt": "Who reads this?", "detail": f"refused {KEY}", "wait_s": float("nan")}
        logging.getLogger("features").info("x", extra=told)
    (line,) = lines_of(tmp_path)
    assert "prompt" not in line
    assert line["detail"] == "refused ***"
    assert line.get("wait_s") is None
