"""The deferrable operator: a real DAG run against the simulated Batch API, and the trigger by itself."""

import asyncio
import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from language_models.ledger import Ledger
from tests.support.simulator import simulator

pytestmark = [pytest.mark.airflow, pytest.mark.xdist_group("airflow")]

NIGHT = "2026-11-01"
RUN_AT = datetime(2026, 11, 2, 3, tzinfo=UTC)
RECIPE = "rlmrec.item"
LLM = """
engine = "openai"
mode = "batch"
model = "simulated"
base_url = "{url}"
batch_requests = 150
batch_poll_s = 0.1
usd_per_million_input = 10.0
usd_per_million_output = 20.0
"""
DAG_FILE = """
from datetime import timedelta
from pathlib import Path
import airflow.sdk
from pipelines.deferred import AskBatchOperator

def work(file, ds, recipe, before):
    from pipelines.batch_steps import advance_recipe
    progress = advance_recipe(file, ds, recipe, before)
    marker = Path(file).with_name("{dag_id}.failed")
    if {fails} and not marker.exists():
        marker.touch()
        raise OSError("the worker's disk went away")
    return progress

with airflow.sdk.DAG("{dag_id}", schedule=None) as dag:
    AskBatchOperator(
        task_id="ask", file="{file}", recipe="rlmrec.item", night=lambda: "2026-11-01", work=work,
        retries=1, retry_delay=timedelta(0),
    )
"""


@pytest.fixture(scope="module")
def sim():
    with simulator("--price-input", "10", "--price-output", "20", "--fault", "batch_delay_s=0.5") as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def prepared(airflow, sim, tmp_path_factory):
    """A folder with a run file whose night has been ingested and split."""
    from pipelines import steps
    from schemas.run import load_run

    folder = tmp_path_factory.mktemp("prepared")
    lines = airflow.run_file.read_text().replace(f'"{airflow.lake}"', '"lake"')
    (folder / "run.toml").write_text(lines.replace("[llm]", "[llm]" + LLM.format(url=sim.url)))
    for step in (steps.ingest, steps.split):
        step(load_run(folder / "run.toml"), NIGHT)
    return folder


@pytest.fixture
def run_file(prepared, sim, tmp_path):
    """A run file of its own for every test, with nothing asked yet."""
    shutil.copytree(prepared, tmp_path / "run")
    sim.faults({"batch_delay_s": 0.5})
    sim.reset()
    return tmp_path / "run" / "run.toml"


@pytest.fixture
def run_dag(run_file, tmp_path, monkeypatch):
    """Run a DAG with nothing but the operator; returns the state of the run and what the task returned."""

    def run(dag_id, fails=False, at=RUN_AT):
        from airflow.dag_processing.dagbag import DagBag

        folder = tmp_path / "dags"
        folder.mkdir(exist_ok=True)
        (folder / f"{dag_id}.py").write_text(DAG_FILE.format(dag_id=dag_id, file=run_file, fails=fails))
        local = {"classpath": "airflow.dag_processing.bundles.local.LocalDagBundle"}
        bundles = [{"name": "dags-folder", "kwargs": {}, **local}]
        bundles.append({"name": "batch", "kwargs": {"path": str(folder)}, **local})
        monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", json.dumps(bundles))
        bag = DagBag(str(folder))
        assert bag.import_errors == {}
        return str(bag.dags[dag_id].test(logical_date=at).state)

    return run


def ledger_of(run_file):
    return Ledger(run_file.with_name("lake") / "_work" / "ledger.sqlite", NIGHT)


def returned(airflow, dag_id):
    query = f"select value from xcom where dag_id = '{dag_id}' and key = 'return_value'"
    return [json.loads(value) if isinstance(value, str) else value for (value,) in airflow.rows(query)]


def test_a_recipe_is_asked_in_batches_and_its_follow_ups_in_another(airflow, run_dag, run_file, sim):
    sim.change({"wrong_schema": 0.1})
    assert run_dag("asked") == "success"
    faults = sim.stats()["by_fault"]["wrong_schema"]
    (counts,) = returned(airflow, "asked")
    assert sim.stats()["batches_created"] == 4  # three files of items, one of follow-ups
    assert (counts["asked"], counts["follow_ups"]) == (sim.stats()["paid"] - faults, faults)
    assert counts["cost_usd"] == pytest.approx(sim.stats()["cost_usd"])
    assert sim.stats()["paid_twice"] == 0
    with ledger_of(run_file) as ledger:
        assert ledger.batches() == []
        assert ledger.totals().spent_usd == pytest.approx(sim.stats()["cost_usd"])


def test_a_task_that_is_tried_again_submits_nothing_twice(airflow, run_dag, sim):
    assert run_dag("retried", fails=True) == "success"
    tries = "select try_number from task_instance where dag_id = 'retried'"
    assert airflow.rows(tries) == [(2,)]
    assert sim.stats()["batches_created"] == 3
    assert sim.stats()["paid_twice"] == 0


def test_another_run_of_the_same_night_asks_nothing(airflow, run_dag, sim):
    assert run_dag("first") == "success"
    paid = sim.stats()["paid"]
    assert run_dag("second") == "success"
    assert sim.stats()["paid"] == paid
    (counts,) = returned(airflow, "second")
    assert (counts["asked"], counts["cached"]) == (0, paid)


def test_the_counts_stand_where_publishing_looks_for_them(airflow, run_dag, run_file, sim):
    from pipelines.night import open_night
    from schemas.run import load_run

    assert run_dag("recorded") == "success"
    run = load_run(run_file)
    (record,) = open_night(run, NIGHT).records(f"ask--{RECIPE}--*--{run.llm.shards}")
    assert record["asked"] == sim.stats()["paid"]


def test_a_spent_budget_fails_the_task_and_leaves_nothing_reserved(airflow, run_dag, run_file, sim):
    text = run_file.read_text()
    run_file.write_text(text.replace("batch_poll_s", "max_cost_usd = 0.05\nmax_output_tokens = 150\nbatch_poll_s"))
    assert run_dag("capped") == "failed"
    with ledger_of(run_file) as ledger:
        totals = ledger.totals()
    assert 0.04 < totals.spent_usd <= 0.05
    assert totals.reserved_usd == 0.0


def test_an_endpoint_that_cannot_be_reached_is_worth_another_try(airflow, run_file, sim):
    from pipelines.deferred import AskBatchOperator

    run_file.write_text(run_file.read_text().replace(sim.url, "http://127.0.0.1:9/v1"))
    operator = AskBatchOperator(task_id="x", file=str(run_file), recipe=RECIPE, night=lambda: NIGHT)
    with pytest.raises(ConnectionError, match="cannot be reached"):
        operator.execute({})


def test_a_triggerer_that_is_restarted_looks_again(airflow, run_file, sim):
    from pipelines.deferred import BatchTrigger

    sim.change({"batch_delay_s": 1.0})
    progress = submit(run_file)
    path, values = BatchTrigger(str(run_file), RECIPE, progress).serialize()
    assert path == "pipelines.deferred.BatchTrigger"
    assert json.loads(json.dumps(values)) == values

    async def restarted():
        first = asyncio.create_task(anext(BatchTrigger(**values).run()))
        await asyncio.sleep(0.4)
        assert not first.done()
        first.cancel()
        again = BatchTrigger(**json.loads(json.dumps(values)))
        return await asyncio.wait_for(anext(again.run()), 10)

    assert asyncio.run(restarted()).payload == progress
    assert sim.stats()["batches_created"] == 3


def test_a_trigger_never_blocks_the_loop_that_it_shares(airflow, run_file, sim):
    """Looks fail and are repeated by the client, with pauses: the loop goes on ticking."""
    from pipelines.deferred import BatchTrigger

    sim.change({"batch_delay_s": 1.5, "poll_error": 0.5})
    values = {"file": str(run_file), "recipe": RECIPE, "progress": submit(run_file)}

    async def ticking():
        waiting, ticks = asyncio.create_task(anext(BatchTrigger(**values).run())), 0
        while not waiting.done():
            await asyncio.sleep(0.01)
            ticks += 1
        return ticks

    assert asyncio.run(ticking()) > 30


def test_a_late_batch_is_an_event_too(airflow, run_file, sim):
    from pipelines.deferred import BatchTrigger

    sim.change({"batch_delay_s": 30})
    late = {**submit(run_file), "until": 0.0}

    async def fire():
        return await asyncio.wait_for(anext(BatchTrigger(str(run_file), RECIPE, late).run()), 5)

    assert asyncio.run(fire()).payload == late


def submit(run_file: Path):
    from pipelines.batch_steps import advance_recipe

    return advance_recipe(str(run_file), NIGHT, RECIPE)


def test_importing_the_operator_imports_neither_the_client_nor_the_tables(environment):
    code = (
        "import airflow.sdk, sys, pipelines.deferred; print(sorted({'openai', 'polars', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
