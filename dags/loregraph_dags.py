"""The nightly job in Airflow: profiles, embeddings and training of every run file, chained by assets.

A task calls one function of `pipelines.steps` and nothing else; only the task imports it, so this file parses at once.
LOREGRAPH_RUN names the run files, relative to the repository, several separated by ':'.
"""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import (
    DAG,
    Asset,
    CronDataIntervalTimetable,
    ExceptionRetryPolicy,
    Param,
    PartitionedAssetTimetable,
    RetryAction,
    RetryRule,
    TaskGroup,
    chain,
    get_current_context,
    task,
)

from pipelines.deferred import AskBatchOperator
from schemas.errors import AnswerError, BudgetError, ConfigError, DataError, EngineError, GateError, LeakError
from schemas.run import Run, load_run

Counts = dict[str, Any]

REPOSITORY = Path(__file__).resolve().parents[1]
# Trying again helps against the infrastructure only; a wrong run file, a failed gate or a spent budget stay so.
FINAL: list[Any] = [ConfigError, DataError, LeakError, EngineError, AnswerError, GateError, BudgetError]
PATIENT = {"execution_timeout": timedelta(hours=48)}  # batches take up to a day, and their follow-ups another
DEFAULTS: dict[str, Any] = {
    "owner": "loregraph",
    "retries": 2,
    "retry_delay": timedelta(minutes=1),
    "retry_exponential_backoff": True,
    "retry_policy": ExceptionRetryPolicy(rules=[RetryRule(exception=FINAL, action=RetryAction.FAIL)]),
    "execution_timeout": timedelta(hours=6),
}


def night() -> str:
    """The date (`ds`) that a task works on: the same one in every try and in every later run for the same interval.

    In this order: the `ds` parameter, the partition that the asset before has published, the date of its event, the
    day on which the data interval starts, the last whole day (UTC) before a run that has no interval.
    """
    context = get_current_context()
    given = context["params"].get("ds") or context.get("partition_key")
    told = [event.extra.get("ds") for events in context["triggering_asset_events"].values() for event in events]
    if given or any(told):
        return str(given or max(filter(None, told)))
    start, end = context.get("data_interval_start"), context.get("data_interval_end")
    if start is not None and start != end:
        return str(start.astimezone(UTC).date())
    run_at = context.get("logical_date") or context["dag_run"].run_after
    return str((run_at.astimezone(UTC) - timedelta(days=1)).date())


def publish_asset(asset: Asset, counts: Counts) -> None:
    """Tell the DAG that waits for `asset` which night is ready, once and with the counts of the step."""
    event, ds = get_current_context()["outlet_events"][asset], night()
    event.extra = {"ds": ds, **{key: value for key, value in counts.items() if isinstance(value, str | int | float)}}
    event.add_partitions(ds)


@task
def ingest(file: str) -> Counts:
    from pipelines import steps

    return steps.ingest(load_run(Path(file)), night())


@task
def split(file: str) -> Counts:
    from pipelines import steps

    return steps.split(load_run(Path(file)), night())


@task
def plan_shards(file: str) -> list[int]:
    """Say what is to be asked and what it may cost (XCom `counts`), and return the shards to ask."""
    from pipelines import steps

    run = load_run(Path(file))
    get_current_context()["ti"].xcom_push("counts", steps.plan(run, night()))
    return list(range(run.llm.shards))


@task(map_index_template="shard {{ task.op_kwargs['shard'] }}")
def ask(file: str, recipe: str, shards: int, shard: int) -> Counts:
    from pipelines import steps

    return steps.ask(load_run(Path(file)), night(), recipe=recipe, shard=shard, shards=shards)


@task
def publish(file: str, asset: Asset) -> Counts:
    """Read the answers, gate the profiles, publish them. A failed gate leaves the version before live."""
    from pipelines import steps

    counts = steps.publish(load_run(Path(file)), night())
    publish_asset(asset, counts)
    return counts


@task
def encode(file: str) -> Counts:
    from pipelines import steps

    return steps.encode(load_run(Path(file)), night())


@task
def materialize(file: str, asset: Asset) -> Counts:
    """Gate the embeddings and publish them."""
    from pipelines import steps

    counts = steps.materialize(load_run(Path(file)), night())
    publish_asset(asset, counts)
    return counts


@task
def tokenize(file: str) -> Counts:
    from pipelines import steps

    return steps.tokenize(load_run(Path(file)), night())


@task
def instruct(file: str) -> Counts:
    from pipelines import steps

    return steps.instruct(load_run(Path(file)), night())


@task(map_index_template="{{ task.op_kwargs['model'] }}, seed {{ task.op_kwargs['seed'] }}", max_active_tis_per_dag=1)
def train(file: str, model: str, seed: int) -> Counts:
    """Fit one model with one seed; one at a time, because each takes every core or the one accelerator there is."""
    from pipelines import steps

    return steps.train(load_run(Path(file)), night(), model=model, seed=seed)


@task
def evaluate(file: str) -> Counts:
    from pipelines import steps

    return steps.evaluate(load_run(Path(file)), night())


@task
def recommend(file: str) -> Counts:
    from pipelines import steps

    return steps.recommend(load_run(Path(file)), night())


@task
def report(file: str) -> Counts:
    from pipelines import steps

    return steps.report(load_run(Path(file)), night())


def profiles_dag(run: Run, profiles: Asset) -> DAG:
    """Read the source, cut it, ask every recipe in shards, and publish the profiles when they pass the gate."""
    file = str(run.file)
    with make_dag(run, "profiles", CronDataIntervalTimetable(run.schedule, timezone="UTC")) as dag:
        last = ingest(file) >> split(file)
        for recipe in run.recipes:
            with TaskGroup(re.sub(r"\W", "_", recipe.name)):
                shards = plan_shards(file)
                if run.llm_of(recipe.name).mode == "batch":
                    asked = AskBatchOperator(task_id="ask", file=file, recipe=recipe.name, night=night, **PATIENT)
                else:
                    asked = ask.partial(file=file, recipe=recipe.name, shards=run.llm.shards).expand(shard=shards)
            last = last >> shards >> asked
        last >> publish.override(outlets=[profiles])(file, profiles)
    return dag


def embeddings_dag(run: Run, profiles: Asset, embeddings: Asset) -> DAG:
    """Encode the texts that have no vector yet, and publish the embeddings when they pass the gate."""
    file = str(run.file)
    with make_dag(run, "embeddings", PartitionedAssetTimetable(assets=profiles)) as dag:
        encode(file) >> materialize.override(outlets=[embeddings])(file, embeddings)
    return dag


def training_dag(run: Run, embeddings: Asset) -> DAG:
    """Make codes and instructions where the run has any, fit every model with every seed, measure once, publish."""
    file = str(run.file)
    pairs = [{"model": model.name, "seed": seed} for model in run.models for seed in run.seeds]
    with make_dag(run, "training", PartitionedAssetTimetable(assets=embeddings)) as dag:
        fitted = train.partial(file=file).expand_kwargs(pairs)
        before = [made(file) for made, wanted in ((tokenize, run.semantic_ids), (instruct, run.instructions)) if wanted]
        chain(*before, fitted)
        fitted >> evaluate(file) >> recommend(file) >> report(file)
    return dag


def make_dag(run: Run, part: str, schedule: Any) -> DAG:
    """An empty DAG of a run with everything that the three have in common."""
    about = f"The {part} of run `{run.name}`, read from `{run.file}`.\n\nLake: `{run.lake}`"
    return DAG(
        dag_id=f"loregraph_{run.name}_{part}",
        schedule=schedule,
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,  # nights of one run share a ledger and a lake
        default_args=DEFAULTS,
        params={"ds": Param(None, type=["null", "string"], format="date", description="night to work on")},
        tags=["loregraph", run.name, part],
        doc_md=about,
        render_template_as_native_obj=False,
    )


def run_files() -> list[Path]:
    """The run files of LOREGRAPH_RUN; the sample where it names none."""
    named = os.environ.get("LOREGRAPH_RUN") or "infra/runs/sample.toml"
    return [REPOSITORY / file for file in named.split(":") if file]


for run_file in run_files():
    each = load_run(run_file)
    profiles_asset, embeddings_asset = (
        Asset(f"loregraph://{each.name}/profiles"),
        Asset(f"loregraph://{each.name}/embeddings"),
    )
    profiles_dag(each, profiles_asset)
    embeddings_dag(each, profiles_asset, embeddings_asset)
    training_dag(each, embeddings_asset)
