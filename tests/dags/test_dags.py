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
before = time.process_time()  # of this process alone: the machine may be busy
import {file} as file
seconds = time.process_time() - before
dags = [dag.dag_id for dag in getattr(file, "made", [])]
print(json.dumps({{"seconds": seconds, "modules": sorted(sys.modules), "dags": dags}}))
"""


def parse(environment: dict[str, str], file: str = "loregraph_dags") -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "dags")])
    return subprocess.run(
        [sys.executable, "-c", PARSE.format(file=file)],
        env={**environment, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_parsing_is_light(environment: Callable[[], Path]) -> None:
    found = [json.loads(parse(dict(os.environ)).stdout.splitlines()[-1]) for _ in range(3)]
    assert [name for name in HEAVY if name in found[0]["modules"]] == []
    assert min(run["seconds"] for run in found) < 0.5


def test_of_a_folder_those_that_say_so_are_run_and_a_wrong_one_takes_no_other_down(
    environment: Callable[[], Path], tmp_path: Path
) -> None:
    head = 'lake = "lake"\n[data]\npath = "."\n'
    (tmp_path / "a.toml").write_text(f'name = "a"\n{head}[airflow]\n')
    (tmp_path / "b.toml").write_text(f'name = "b"\n{head}')
    (tmp_path / "c.toml").write_text(f'name = "a"\n{head}[airflow]\n')
    (tmp_path / "d.toml").write_text(f'name = "d"\nschedul = "@daily"\n{head}[airflow]\n')
    settings = {**os.environ, "LOREGRAPH_RUN": str(tmp_path)}
    done = parse(settings)
    assert json.loads(done.stdout.splitlines()[-1])["dags"] == [f"loregraph_a_{part}" for part in PARTS]
    shown = parse(settings, "loregraph_run_files")
    assert shown.returncode != 0
    assert f"{tmp_path}/c.toml: name: 'a' is the name of {tmp_path}/a.toml already" in shown.stderr
    assert "schedul: unknown, did you mean schedule?" in shown.stderr


def test_without_a_name_the_run_files_of_the_repository_are_taken_and_all_are_right(
    environment: Callable[[], Path],
) -> None:
    settings = {**os.environ, "LOREGRAPH_RUN": ""}
    assert "loregraph_sample_profiles" in json.loads(parse(settings).stdout.splitlines()[-1])["dags"]
    assert parse(settings, "loregraph_run_files").returncode == 0


def test_the_dags_are_set_as_they_should_be(airflow) -> None:
    from pipelines.pools import pools
    from schemas.run import load_run

    known = {"default_pool", *pools([load_run(airflow.run_file)])}
    ours = {name: dag for name, dag in airflow.dags.items() if "sample" in dag.tags}
    assert sorted(ours) == sorted(f"loregraph_sample_{part}" for part in PARTS)
    assert len(airflow.dags) == 6, "one set for each run file"
    for name, dag in ours.items():
        assert dag.max_active_runs == 1
        assert dag.catchup is False
        assert {"loregraph", "sample"} <= set(dag.tags)
        assert str(airflow.lake) in dag.doc_md
        for one in dag.tasks:
            assert (one.owner, one.retries) == ("loregraph", 2), name
            assert one.execution_timeout == timedelta(hours=6)
            assert "**If it fails:**" in one.doc_md, one.task_id
            assert one.on_failure_callback
            assert one.pool in known, "Airflow leaves a task without its pool waiting for ever"


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
        "promote": ["recommend"],
        "report": ["promote"],
    }


def test_every_asset_is_made_once_and_read_after_it_is_made(airflow) -> None:
    made, read = list[str](), set[str]()
    for part in PARTS:
        dag = airflow.dags[f"loregraph_sample_{part}"]
        for one in dag.topological_sort():
            read |= {asset.uri for asset in one.inlets}
            assert read <= set(made), f"{one.task_id} reads what nobody has made"
            made += [asset.uri for asset in one.outlets]
    names = ["interactions", "profiles", "embeddings", "metrics", "recommendations", "releases"]
    assert made == [f"loregraph://sample/{name}" for name in names]
    assert read == set(made[:-1])


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
        "dags = [dag for dag in d.made if dag.dag_id.endswith('training')]\n"
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


def told(airflow) -> dict[str, dict[str, object]]:
    """What the last event of every asset says."""
    query = "select a.uri, e.partition_key, e.extra from asset_event e join asset a on a.id = e.asset_id order by e.id"
    found = {uri.rpartition("/")[2]: (key, json.loads(extra)) for uri, key, extra in airflow.rows(query)}
    assert all(key == extra["ds"] for key, extra in found.values())
    return {name: extra for name, (_, extra) in found.items()}


def test_a_night_runs_from_source_to_report(airflow) -> None:
    assert airflow.run("profiles", logical_date=RUN_AT) == "success"
    events = told(airflow)
    assert {name: each["ds"] for name, each in events.items()} == {"interactions": NIGHT, "profiles": NIGHT}
    about = events["profiles"]["tables"]["profiles"]
    assert about["rows"] == airflow.store.read("profiles", NIGHT).height
    assert about["version"] == airflow.store.version("profiles")
    assert len(about["content"]) == 16
    assert events["profiles"]["rows"] > about["rows"]
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
    assert set(told(airflow)) == {"interactions", "profiles", "embeddings", "metrics", "recommendations", "releases"}
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
    assert airflow.run("embeddings", run_conf={"ds": NIGHT}, logical_date=None) == "success"
    assert airflow.run("training", run_conf={"ds": NIGHT}, logical_date=None) == "success"
    assert {name: airflow.store.version(name) for name in airflow.store.names()} == before


def test_a_failed_gate_fails_the_run_and_tells_nobody(airflow) -> None:
    query = "select count(*) from asset_event e join asset a on a.id = e.asset_id where a.uri like '%/profiles'"
    events = airflow.rows(query)
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
    assert airflow.rows(query) == events
    (line,) = (airflow.lake / "_work" / "nights" / "2026-11-05" / "failures.jsonl").read_text().splitlines()
    found = json.loads(line)
    assert (found["task"], found["ds"], found["error"], found["exit_code"]) == ("publish", "2026-11-05", "GateError", 3)
    assert "The version before stays live" in found["next_step"]
    assert airflow.store.version("profiles") == version


def test_a_run_in_batch_mode_waits_without_a_worker_slot(environment: Callable[[], Path], tmp_path: Path) -> None:
    text = (environment() / "run.toml").read_text()
    (tmp_path / "run.toml").write_text(text.replace("shards = 2", 'engine = "openai"\nmode = "batch"'))
    code = """
import loregraph_dags as d
dag = d.made[0]
tasks = [dag.get_task(f"{group}.ask") for group in ("rlmrec_item", "rlmrec_user")]
print([type(task).__name__ for task in tasks], sorted(tasks[0].upstream_task_ids), sorted(tasks[1].downstream_task_ids))
"""
    path = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "dags")])
    settings = {**os.environ, "LOREGRAPH_RUN": str(tmp_path / "run.toml"), "PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", code], env=settings, capture_output=True, text=True, check=True)
    expected = "['AskBatchOperator', 'AskBatchOperator'] ['rlmrec_item.plan_shards'] ['llmrec_edges.plan_shards']"
    assert done.stdout.splitlines()[-1] == expected
