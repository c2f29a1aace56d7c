"""OpenLineage events of real steps, through its own client: into a file, to a server, and to one that is not there."""

import json
import os
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from features.store import DeltaStore
from pipelines.job import run_night
from pipelines.watching import open_lineage
from pipelines.watching.open_lineage import dataset_name, run_id
from tests.support.watched_world import BAD, GOOD

DS = "2026-01-01"


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """The client copies its variables into others; nothing of it may stay for the next test."""
    before = {name: value for name, value in os.environ.items() if name.startswith("OPENLINEAGE")}
    monkeypatch.setattr(open_lineage._Server, "quiet_until", 0.0)
    yield
    for name in [name for name in os.environ if name.startswith("OPENLINEAGE") and name not in before]:
        del os.environ[name]


@pytest.fixture
def events(nights) -> list[dict]:
    return [json.loads(line) for line in (nights.file.parent / "lineage" / "events.jsonl").read_text().splitlines()]


def of(events: list[dict], step: str, kind: str, ds: str = GOOD) -> dict:
    (found,) = [
        event
        for event in events
        if (event["job"]["name"], event["eventType"]) == (f"mini.{step}", kind)
        and event["run"]["facets"]["nominalTime"]["nominalStartTime"].startswith(ds)
    ]
    return found


def datasets(event: dict, side: str) -> dict[str, dict]:
    return {each["name"].rpartition("/")[2]: each for each in event[side]}


def test_every_step_starts_and_completes_under_one_id_of_its_own(nights, events) -> None:
    night = [event for event in events if event["run"]["facets"]["nominalTime"]["nominalStartTime"].startswith(GOOD)]
    kinds: dict[str, list[str]] = {}
    for event in night:
        kinds.setdefault(event["run"]["runId"], []).append(event["eventType"])
    assert set(map(tuple, kinds.values())) == {("START", "COMPLETE")}
    lake = str(nights.file.parent / "lake")
    assert of(events, "split", "START")["run"]["runId"] == run_id(lake, "mini", GOOD, "split", 1)
    assert {event["job"]["namespace"] for event in events} == {f"file://{lake}"}
    whole = {event["run"]["facets"]["parent"]["run"]["runId"] for event in night}
    assert whole == {run_id(lake, "mini", GOOD)}


def test_a_step_names_the_versions_that_it_read_and_wrote_with_columns_and_rows(nights, events) -> None:
    done, lake = of(events, "split", "COMPLETE"), DeltaStore(str(nights.file.parent / "lake"))
    read, written = datasets(done, "inputs"), datasets(done, "outputs")
    assert read["interactions"]["facets"]["version"]["datasetVersion"] == "0"
    assert (written["splits"]["namespace"], written["splits"]["name"]) == ("file", f"{lake.root}/splits")
    assert written["splits"]["outputFacets"]["outputStatistics"]["rowCount"] == lake.read("splits", ds=GOOD).height
    fields = {field["name"]: field["type"] for field in written["splits"]["facets"]["schema"]["fields"]}
    assert fields["part"] == "String"


def test_a_failed_gate_is_a_fail_with_its_assertions_and_without_the_table(events) -> None:
    failed = of(events, "generate", "FAIL", BAD)
    assert failed["run"]["facets"]["errorMessage"]["message"].startswith("GateError: table profiles:")
    gated = [each for each in failed["inputs"] if "dataQualityAssertions" in each.get("inputFacets", {})]
    assertions = {each["name"].rpartition("/")[2]: each["inputFacets"]["dataQualityAssertions"] for each in gated}
    assert not all(each["success"] for each in assertions["profiles"]["assertions"])
    assert "profiles" not in datasets(failed, "outputs")
    assert "rejects" in datasets(failed, "outputs")


def test_ids_are_valid_and_another_try_has_another_one() -> None:
    assert uuid.UUID(run_id("lake", "mini", GOOD, "split", 1))
    assert run_id("lake", "mini", GOOD, "split", 1) == run_id("lake", "mini", GOOD, "split", 1)
    assert len({run_id("lake", "mini", ds, part, n) for ds in (GOOD, BAD) for part in "ab" for n in (1, 2)}) == 8


@pytest.mark.parametrize(
    ("lake", "named"),
    [
        ("/srv/lake", ("file", "/srv/lake/users")),
        ("s3://bucket", ("s3://bucket", "users")),
        ("s3://bucket/a/lake/", ("s3://bucket", "a/lake/users")),
    ],
)
def test_datasets_are_named_as_the_standard_says(lake: str, named: tuple[str, str]) -> None:
    assert dataset_name(lake, "users") == named


@pytest.fixture
def server() -> Iterator[tuple[str, list[dict]]]:
    received: list[dict] = []

    class Receive(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(201)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    serving = ThreadingHTTPServer(("127.0.0.1", 0), Receive)
    thread = threading.Thread(target=serving.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{serving.server_port}", received
    serving.shutdown()
    thread.join()
    serving.server_close()


def test_a_server_gets_the_events_where_the_environment_names_one(world, monkeypatch, server) -> None:
    url, received = server
    monkeypatch.setenv("OPENLINEAGE_URL", url)
    run_night(world(), step="ingest", ds=DS)
    assert [(event["job"]["name"], event["eventType"]) for event in received] == [
        ("mini.ingest", "START"),
        ("mini.ingest", "COMPLETE"),
    ]
    assert "users" in datasets(received[1], "outputs")
    assert received[0]["run"]["runId"] == received[1]["run"]["runId"]


def test_a_dead_server_costs_one_try_and_not_the_night(world, monkeypatch, capsys) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens there
        port = taken.getsockname()[1]
    config = {"type": "http", "url": f"http://127.0.0.1:{port}", "retry": {"total": 0}, "timeout": 2}
    for name, value in config.items():
        monkeypatch.setenv(
            f"OPENLINEAGE__TRANSPORT__{name.upper()}", value if isinstance(value, str) else json.dumps(value)
        )
    file = world()
    for step in ("ingest", "split"):
        run_night(file, step=step, ds=DS)
    assert DeltaStore(str(file.parent / "lake")).exists("splits", DS)
    log = (file.parent / "lake" / "_work" / "nights" / DS / "log.jsonl").read_text()
    lost = [json.loads(line) for line in log.splitlines() if "lineage_not_sent" in line]
    assert [(line["step"], line["error"]) for line in lost] == [("ingest", "ConnectionError")]
    assert capsys.readouterr().err.count("an event could not be sent") == 1


def test_nothing_is_imported_and_nothing_made_where_nobody_asks(world, monkeypatch) -> None:
    file = world()
    code = (
        "import sys; from pathlib import Path; from pipelines.job import run_night; "
        f"run_night(Path({str(file)!r}), step='ingest', ds={DS!r}); "
        "sys.exit(any(name.startswith('openlineage') for name in sys.modules))"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OPENLINEAGE")}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, capture_output=True, timeout=120)
    assert not list(Path(file.parent).rglob("events.jsonl"))


def test_it_can_be_switched_off(monkeypatch, nights) -> None:
    from schemas.run import load_run

    run = load_run(nights.file)
    assert open_lineage.wanted(run)
    monkeypatch.setenv("OPENLINEAGE_DISABLED", "true")
    assert not open_lineage.wanted(run)
