"""A night in a real Airflow (scheduler, DAG processor, API server, triggerer, PostgreSQL), with processes killed."""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.airflow_services import Services, airflow_services, until
from tests.support.postgres import postgres_server
from tests.support.simulator import Simulator, simulator

pytestmark = [pytest.mark.slow, pytest.mark.airflow]

REPOSITORY = Path(__file__).resolve().parents[2]
NIGHT, DAG = "2025-05-12", "loregraph_served_profiles"
RUN = """
name = "served"
lake = "lake"
baseline = "popularity"
seeds = [1]
schedule = "0 2 1 * *"
[data]
path = "{repository}/infra/sample"
[airflow]
start_date = 2027-01-01
total_usd = 2.0
retry_delay_s = 1
retries = 3
pool_slots = 2
deadline_hours = {{ profiles = 0.001 }}
[llm]
engine = "openai"
model = "simulated"
base_url = "{url}"
shards = 2
concurrency = 2
recovery = "idempotency"
usd_per_million_input = 0.15
usd_per_million_output = 0.6
max_cost_usd = 5.0
[quality]
near_duplicates = 1.0
largest_cluster = 1.0
[[recipes]]
name = "rlmrec.item"
options = {{ noun = "book" }}
[[recipes]]
name = "rlmrec.user"
options = {{ noun = "book" }}
[[models]]
name = "popularity"
recommender = "popularity"
[[models]]
name = "text_match"
recommender = "text_match"
features = {{ item = "title" }}
"""


@pytest.fixture(scope="module")
def sim():
    with simulator("--idempotency", "--latency", "0.15", "--price-input", "0.15", "--price-output", "0.6") as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, sim: Simulator) -> Path:
    folder = tmp_path_factory.mktemp("served")
    (folder / "run.toml").write_text(RUN.format(repository=REPOSITORY, url=sim.url))
    return folder


@pytest.fixture(scope="module")
def services(folder: Path):
    with postgres_server() as postgres:
        home = folder / "home"
        home.mkdir()
        with airflow_services(home, str(folder / "run.toml"), free_port(), postgres.address()) as running:
            yield running


def test_a_night_survives_a_killed_worker_and_a_killed_scheduler(
    services: Services, sim: Simulator, folder: Path
) -> None:
    until(lambda: is_known(services), 120, "the DAGs are parsed")
    services.call("POST", f"/dags/{DAG}/dagRuns", {"logical_date": None, "conf": {"ds": NIGHT}, "dag_run_id": "night"})

    first = until(lambda: asking(services, "rlmrec_item.ask"), 240, "items are asked")
    paid = until(lambda: sim.stats()["paid"] > 10 and sim.stats()["paid"], 60, "something is paid")
    os.kill(first["pid"], signal.SIGKILL)
    until(lambda: tries_of(services, first) > first["try_number"], 120, "the killed task is tried again")

    second = until(lambda: asking(services, "rlmrec_user.ask"), 240, "users are asked")
    asked = sim.stats()["paid"]
    until(lambda: sim.stats()["paid"] > asked + 10, 60, "users' answers are paid")
    services.kill("scheduler")
    for process in family_of(second["pid"]):  # and with it, as on a lost machine, the worker and its task
        process.kill()
    services.start("scheduler")

    until(lambda: state_of(services, DAG, "night") in ("success", "failed"), 400, "the run ends")
    states = {(one["task_id"], one["map_index"]): one["state"] for one in services.tasks(DAG, "night")}
    assert set(states.values()) == {"success"}, states
    assert sim.stats()["paid"] > paid
    assert sim.stats()["paid_twice"] == 0
    assert "DeadlineMissed" in {each["error"] for each in failures(folder)}
    for part in ("embeddings", "training"):
        dag = f"loregraph_served_{part}"
        run = until(lambda dag=dag: ended(services, dag), 400, f"{part} follows")
        assert (run["state"], run["partition_key"]) == ("success", NIGHT)
    assert list((folder / "lake").rglob("report.html"))
    assert releases(folder) == [(1, NIGHT)]


def test_a_cleared_task_finds_everything_done(services: Services, sim: Simulator, folder: Path) -> None:
    paid, before = sim.stats()["paid"], versions(folder)
    body = {
        "dry_run": False,
        "only_failed": False,
        "dag_run_id": "night",
        "task_ids": [["rlmrec_user.ask", 1], "publish"],
    }
    services.call("POST", f"/dags/{DAG}/clearTaskInstances", body)
    until(lambda: state_of(services, DAG, "night") == "success" and not waiting(services), 240, "it ends again")
    assert (sim.stats()["paid"], sim.stats()["paid_twice"]) == (paid, 0)
    assert versions(folder) == before


def test_a_backfill_makes_up_past_nights_each_as_of_its_day_and_under_one_budget(
    services: Services, sim: Simulator, folder: Path
) -> None:
    from features.store import DeltaStore
    from pipelines.night import end_of

    sim.change({"latency": 0.0})
    body = {"dag_id": DAG, "from_date": "2025-04-15T00:00:00Z", "to_date": "2025-06-15T00:00:00Z", "max_active_runs": 1}
    services.call("POST", "/backfills", body)
    until(lambda: len(backfilled(services)) == 2, 60, "the runs are made")
    until(lambda: not {"queued", "running"} & set(backfilled(services).values()), 500, "the nights are made up")
    assert backfilled(services) == {"2025-05-01": "success", "2025-06-01": "success"}
    store = DeltaStore(str(folder / "lake"))
    for ds in backfilled(services):
        assert store.read("interactions", ds)["timestamp"].max() < end_of(ds)
        assert store.read("interactions", ds)["timestamp"].max() > end_of(ds) - 7 * 86400
        assert store.read("profiles", ds).height > 0
    assert sim.stats()["paid_twice"] == 0
    assert sim.stats()["cost_usd"] <= 2.0, "airflow.total_usd"


def backfilled(services: Services) -> dict[str, str]:
    """The state of every backfilled run by the first day of its interval."""
    runs = services.call("GET", f"/dags/{DAG}/dagRuns?limit=100")["dag_runs"]
    return {run["logical_date"][:10]: run["state"] for run in runs if run["run_type"] == "backfill"}


def is_known(services: Services) -> bool:
    return DAG in {dag["dag_id"] for dag in services.call("GET", "/dags")["dags"]}


def asking(services: Services, task: str) -> dict[str, Any] | None:
    """A running task instance of this name whose process is known."""
    found = services.tasks(DAG, "night")
    mine = [one for one in found if one["task_id"] == task and one["state"] == "running" and one["pid"]]
    return mine[0] if mine else None


def tries_of(services: Services, one: dict[str, Any]) -> int:
    same = [each for each in services.tasks(DAG, "night") if each["task_id"] == one["task_id"]]
    return max(int(each["try_number"]) for each in same if each["map_index"] == one["map_index"])


def state_of(services: Services, dag: str, run: str) -> str:
    return str(services.call("GET", f"/dags/{dag}/dagRuns/{run}")["state"])


def waiting(services: Services) -> list[str]:
    return [one["task_id"] for one in services.tasks(DAG, "night") if one["state"] != "success"]


def ended(services: Services, dag: str) -> dict[str, Any] | None:
    runs: list[dict[str, Any]] = services.call("GET", f"/dags/{dag}/dagRuns")["dag_runs"]
    return next((run for run in runs if run["state"] in ("success", "failed")), None)


def family_of(pid: int) -> list[psutil.Process]:
    """A task's process and the worker's above it."""
    process = psutil.Process(pid)
    parents = [each for each in process.parents() if each.pid > 1 and each.pid != os.getpid()]
    return [process, *parents[:1]]


def failures(folder: Path) -> list[dict[str, Any]]:
    file = folder / "lake" / "_work" / "nights" / NIGHT / "failures.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()]


def versions(folder: Path) -> dict[str, int]:
    from features.store import DeltaStore

    store = DeltaStore(str(folder / "lake"))
    return {name: store.version(name) for name in store.names()}


def releases(folder: Path) -> list[tuple[int, str]]:
    from features.releases import Releases
    from features.store import DeltaStore

    return [(each.number, each.ds) for each in Releases(DeltaStore(str(folder / "lake"))).all()]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
