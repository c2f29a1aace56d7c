"""The DAGs: light to parse, well set, and run for real against a migrated Airflow."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

pytestmark = [pytest.mark.airflow, pytest.mark.xdist_group("airflow")]

REPOSITORY = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "pyspark", "great_expectations", "sentence_transformers", "polars", "torch_geometric", "openai")
PARTS = ("profiles", "embeddings", "training")
RUN_AT = datetime(2026, 11, 2, 3, tzinfo=UTC)  # after the tick at two of the interval that began on 1 November
NIGHT = "2026-11-01"
PARSE = """
import json, sys, time
import airflow.sdk
from airflow.sdk import DAG, task
before = time.perf_counter()
import loregraph_dags
seconds = time.perf_counter() - before
print(json.dumps({"seconds": seconds, "modules": sorted(sys.modules)}))
"""


def parse(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "dags")])
    return subprocess.run(
        [sys.executable, "-c", PARSE],
        env={**environment, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_parsing_is_light(environment: Callable[[], Path]) -> None:
    found = [json.loads(parse(dict(os.environ)).stdout.splitlines()[-1]) for _ in range(3)]
    assert [name for name in HEAVY if name in found[0]["modules"]] == []
    assert min(run["seconds"] for run in found) < 0.5


def test_without_a_name_the_sample_is_loaded_and_paths_are_relative_to_the_repository(
    environment: Callable[[], Path], tmp_path: Path
) -> None:
    code = "import loregraph_dags as d; print([str(f.relative_to(d.REPOSITORY)) for f in d.run_files()])"
    for value, files in (("", ["infra/runs/sample.toml"]), ("infra/runs/sample.toml:infra/runs/sample.toml", None)):
        settings = {**os.environ, "LOREGRAPH_RUN": value, "PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'dags'}"}
        done = subprocess.run(
            [sys.executable, "-c", code], env=settings, cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert done.stdout.splitlines()[-1] == str(files or ["infra/runs/sample.toml"] * 2)


def test_a_wrong_run_file_is_named(environment: Callable[[], Path], tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text('name = "x"\nlake = "lake"\nschedul = "@daily"\n[data]\npath = "."\n')
    done = parse({**os.environ, "LOREGRAPH_RUN": str(tmp_path / "run.toml")})
    assert done.returncode != 0
    assert "schedul: unknown, did you mean schedule?" in done.stderr


def test_the_dags_are_set_as_they_should_be(airflow) -> None:
    assert sorted(airflow.dags) == sorted(f"loregraph_sample_{part}" for part in PARTS)
    for name, dag in airflow.dags.items():
        assert dag.max_active_runs == 1
        assert dag.catchup is False
        assert {"loregraph", "sample"} <= set(dag.tags)
        assert str(airflow.lake) in dag.doc_md
        for one in dag.tasks:
            assert (one.owner, one.retries) == ("loregraph", 2), name
            assert one.execution_timeout == timedelta(hours=6)


def test_the_tasks_follow_each_other(airflow) -> None:
    upstream = {
        part: {one.task_id: sorted(one.upstream_task_ids) for one in airflow.dags[f"loregraph_sample_{part}"].tasks}
        for part in PARTS
    }
    assert upstream["profiles"] == {
        "ingest": [],
        "split": ["ingest"],
        "rlmrec_item.plan_shards": ["split"],
        "rlmrec_item.ask": ["rlmrec_item.plan_shards"],
        "rlmrec_user.plan_shards": ["rlmrec_item.ask"],
        "rlmrec_user.ask": ["rlmrec_user.plan_shards"],
        "llmrec_edges.plan_shards": ["rlmrec_user.ask"],
        "llmrec_edges.ask": ["llmrec_edges.plan_shards"],
        "liber_partition.plan_shards": ["llmrec_edges.ask"],
        "liber_partition.ask": ["liber_partition.plan_shards"],
        "publish": ["liber_partition.ask"],
    }
    assert upstream["embeddings"] == {"encode": [], "materialize": ["encode"]}
    assert upstream["training"] == {
        "train": [],
        "evaluate": ["train"],
        "recommend": ["evaluate"],
        "report": ["recommend"],
    }


def test_items_are_coded_and_instructions_made_before_models_are_trained(
    environment: Callable[[], Path], tmp_path: Path
) -> None:
    codes, told = (
        '[[semantic_ids]]\nname = "codes"\nitem = "title"\n',
        '[[instructions]]\nname = "i"\nbuilder = "bigrec"\n',
    )
    files = {"codes": codes, "told": told, "both": codes + told}
    for name, entries in files.items():
        (tmp_path / f"{name}.toml").write_text(
            f'name = "{name}"\nlake = "lake"\nbaseline = "a"\n[data]\npath = "."\n'
            f'{entries}[[models]]\nname = "a"\nrecommender = "popularity"\n'
        )
    code = (
        "import loregraph_dags as d\n"
        "dags = [d.training_dag(d.load_run(file), d.embeddings_asset) for file in d.run_files()]\n"
        "print([[*dag.get_task('train').upstream_task_ids] for dag in dags], "
        "dags[-1].get_task('instruct').upstream_task_ids)"
    )
    runs = ":".join(str(tmp_path / f"{name}.toml") for name in files)
    settings = {"LOREGRAPH_RUN": runs, "PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'dags'}"}
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **settings}, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[['tokenize'], ['instruct'], ['instruct']] {'tokenize'}"


def test_only_the_infrastructure_is_worth_another_try(airflow) -> None:
    from schemas.errors import BudgetError, ConfigError, GateError, StoreError

    policy = airflow.dags["loregraph_sample_profiles"].get_task("publish").retry_policy
    for error, action in ((ConfigError("x"), "fail"), (GateError("x"), "fail"), (BudgetError("x"), "fail")):
        assert policy.evaluate(error, 1, 2).action.value == action
    for error in (OSError("x"), StoreError("another writer")):
        assert policy.evaluate(error, 1, 2).action.value == "default"


def test_a_night_runs_from_source_to_report(airflow) -> None:
    assert airflow.run("profiles", logical_date=RUN_AT) == "success"
    events = airflow.rows("select partition_key, extra from asset_event")
    assert [(key, json.loads(extra)["ds"]) for key, extra in events] == [(NIGHT, NIGHT)]
    queued = "select target_dag_id, partition_key from asset_partition_dag_run"
    assert airflow.rows(queued) == [("loregraph_sample_embeddings", NIGHT)]
    assert set(airflow.store.names()) >= {"users", "items", "interactions", "splits", "prompts", "profiles", "rejects"}
    assert airflow.store.partitions("profiles") == [NIGHT]
    assert set(airflow.store.read("profiles", NIGHT)["recipe"]) == {"rlmrec.item", "rlmrec.user", "liber.partition"}
    assert set(airflow.store.read("llm_edges", NIGHT)["recipe"]) == {"llmrec.edges"}
    assert airflow.store.read("partitions", NIGHT)["part"].max() > 2, "one after the other, in either shard"

    assert airflow.run("embeddings", run_conf={"ds": NIGHT}, logical_date=None) == "success"
    assert airflow.store.partitions("embeddings") == [NIGHT]
    assert ("loregraph_sample_training", NIGHT) in airflow.rows(queued)

    assert airflow.run("training", logical_date=RUN_AT) == "success"
    labels = "select rendered_map_index from task_instance where task_id = 'train' order by map_index"
    assert [label for (label,) in airflow.rows(labels)] == ["lightgcn, seed 1", "llmrec, seed 1", "text_match, seed 1"]
    assert airflow.store.partitions("recommendations") == [NIGHT]
    assert list(airflow.lake.rglob("report.html"))


def test_the_same_night_again_asks_nothing_and_changes_no_table(airflow) -> None:
    before = {name: airflow.store.version(name) for name in airflow.store.names()}
    assert airflow.run("profiles", logical_date=RUN_AT + timedelta(hours=1)) == "success"
    asked = (
        "select x.value from xcom x where x.task_id like '%.ask' and x.key = 'return_value' "
        "and x.dag_run_id = (select max(id) from dag_run where dag_id = 'loregraph_sample_profiles')"
    )
    counts = [json.loads(value) if isinstance(value, str) else value for (value,) in airflow.rows(asked)]
    assert len(counts) == 8  # four recipes in two shards
    assert sum(count["asked"] for count in counts) == 0
    assert sum(count["cached"] for count in counts) > 0
    assert {name: airflow.store.version(name) for name in airflow.store.names()} == before


def test_a_failed_gate_fails_the_run_and_tells_nobody(airflow) -> None:
    events = airflow.rows("select count(*) from asset_event")
    version = airflow.store.version("profiles")
    text = airflow.run_file.read_text()
    airflow.run_file.write_text(text + "[gates]\nmin_characters = 4000\nmax_characters = 4001\n")
    try:
        assert (
            airflow.run("profiles", run_conf={"ds": "2026-11-05"}, logical_date=RUN_AT + timedelta(hours=2)) == "failed"
        )
    finally:
        airflow.run_file.write_text(text)
    ended = "state in ('success', 'skipped')"
    ours = "dag_id = 'loregraph_sample_profiles'"
    states = airflow.rows(f"select task_id, state from task_instance where {ours} and not {ended}")
    assert states == [("publish", "failed")]
    assert airflow.rows("select count(*) from asset_event") == events
    assert airflow.store.version("profiles") == version


def test_a_run_in_batch_mode_waits_without_a_worker_slot(environment: Callable[[], Path], tmp_path: Path) -> None:
    text = (environment() / "run.toml").read_text()
    (tmp_path / "run.toml").write_text(text.replace("shards = 2", 'engine = "openai"\nmode = "batch"'))
    code = """
import loregraph_dags as d
from airflow.sdk import Asset
dag = d.profiles_dag(d.load_run(d.run_files()[0]), Asset("loregraph://x/profiles"))
tasks = [dag.get_task(f"{group}.ask") for group in ("rlmrec_item", "rlmrec_user")]
print([type(task).__name__ for task in tasks], sorted(tasks[0].upstream_task_ids), sorted(tasks[1].downstream_task_ids))
"""
    path = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "dags")])
    settings = {**os.environ, "LOREGRAPH_RUN": str(tmp_path / "run.toml"), "PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", code], env=settings, capture_output=True, text=True, check=True)
    expected = "['AskBatchOperator', 'AskBatchOperator'] ['rlmrec_item.plan_shards'] ['llmrec_edges.plan_shards']"
    assert done.stdout.splitlines()[-1] == expected
