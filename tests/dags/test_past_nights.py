"""Past nights through Airflow: each as of its day, all under one budget, and what is cleared is paid once."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from features.store import DeltaStore
from language_models.ledger import Ledger
from tests.support.simulator import simulator

pytestmark = [pytest.mark.airflow, pytest.mark.xdist_group("airflow")]

NIGHTS = ("2025-03-20", "2025-05-12")  # events of the sample: from March to June 2025
KEY = "planted-past-key-4711"
LLM = """
engine = "openai"
model = "simulated"
base_url = "{url}"
key_env = "LOREGRAPH_PAST_KEY"
usd_per_million_input = 10.0
usd_per_million_output = 20.0
max_output_tokens = 150
"""


@pytest.fixture(scope="module")
def sim():
    with simulator("--price-input", "10", "--price-output", "20", "--key", KEY) as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def run_file(airflow, sim) -> Path:
    """The run of past nights; an item exists from its first event on, so that a later night asks about more."""
    file = airflow.run_file.with_name("past.toml")
    text = file.read_text().replace("[llm]", "[llm]" + LLM.format(url=sim.url))
    connections = '[airflow]\nconnections = { LOREGRAPH_PAST_KEY = "past_llm" }'
    file.write_text(text.replace("[airflow]", f'items_from = "first_event"\n{connections}'))
    return file


@pytest.fixture(scope="module")
def store(run_file: Path) -> DeltaStore:
    return DeltaStore(str(run_file.with_name("past")))


@pytest.fixture(scope="module", autouse=True)
def connection(airflow) -> Iterator[None]:
    """The key is the password of a connection in Airflow's metadata database, and nowhere in the environment."""
    from airflow import settings
    from airflow.models import Connection

    with settings.Session() as session:
        session.add(Connection(conn_id="past_llm", conn_type="generic", password=KEY))
        session.commit()
    yield
    with settings.Session() as session:
        session.query(Connection).filter_by(conn_id="past_llm").delete()
        session.commit()


def state_of(airflow, ds: str) -> str:
    """How a run whose data interval starts on that day ended."""
    day = datetime.fromisoformat(ds).replace(tzinfo=UTC)
    return airflow.run("profiles", "past", logical_date=day.replace(day=day.day + 1, hour=3))


def set_total(run_file: Path, usd: float) -> None:
    lines = [
        f"total_usd = {usd}" if line.startswith("total_usd") else line for line in run_file.read_text().split("\n")
    ]
    run_file.write_text("\n".join(lines))


def spent(run_file: Path) -> float:
    where = run_file.with_name("past") / "_work" / "ledger.sqlite"
    total = 0.0
    for ds in NIGHTS:
        with Ledger(where, ds) as ledger:
            total += ledger.totals().spent_usd
    return total


def test_nights_are_as_of_their_day_and_stop_at_one_budget(airflow, run_file, store, sim) -> None:
    from pipelines.night import end_of

    assert state_of(airflow, NIGHTS[0]) == "success"
    first = spent(run_file)
    assert 0 < first == pytest.approx(sim.stats()["cost_usd"])
    assert "LOREGRAPH_PAST_KEY" not in os.environ, "the key is the task's alone"
    kept = [file for file in run_file.with_name("past").rglob("*") if file.is_file()]
    assert len(kept) > 20
    assert [file for file in kept if KEY.encode() in file.read_bytes()] == []
    set_total(run_file, round(first + 0.05, 6))

    assert state_of(airflow, NIGHTS[1]) == "failed"
    assert first < spent(run_file) <= first + 0.05
    failures = run_file.with_name("past") / "_work" / "nights" / NIGHTS[1] / "failures.jsonl"
    assert {json.loads(line)["error"] for line in failures.read_text().splitlines()} == {"BudgetError"}
    assert not store.exists("profiles", NIGHTS[1])

    set_total(run_file, 100.0)
    assert state_of(airflow, NIGHTS[1]) == "success"
    assert sim.stats()["paid_twice"] == 0
    counts = [store.read("items", ds).height for ds in NIGHTS]
    assert 0 < counts[0] < counts[1], "items of later nights are not known to an earlier one"
    for ds in NIGHTS:
        latest = store.read("interactions", ds)["timestamp"].max()
        assert end_of(ds) - 86400 < latest < end_of(ds)


def test_an_earlier_night_again_is_the_same_and_pays_nothing(airflow, run_file, store, sim) -> None:
    paid, before = sim.stats()["paid"], {name: store.version(name) for name in store.names()}
    assert state_of(airflow, NIGHTS[0]) == "success"
    assert sim.stats()["paid"] == paid
    assert {name: store.version(name) for name in store.names()} == before


def test_a_connection_that_is_not_there_fails_the_task_for_good_and_says_what_to_do(airflow, run_file, sim) -> None:
    text = run_file.read_text()
    run_file.write_text(text.replace('"past_llm"', '"no_such_llm"'))
    try:
        assert state_of(airflow, NIGHTS[1]) == "failed"
    finally:
        run_file.write_text(text)
    failures = run_file.with_name("past") / "_work" / "nights" / NIGHTS[1] / "failures.jsonl"
    last = json.loads(failures.read_text().splitlines()[-1])
    assert last["error"] == "ConfigError"
    assert "airflow.connections.LOREGRAPH_PAST_KEY: no_such_llm: Airflow has no such connection" in last["message"]
