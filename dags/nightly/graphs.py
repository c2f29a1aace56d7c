"""The three DAGs of a run: profiles, embeddings and training, chained by assets whose partition is the night."""

from __future__ import annotations

import re
from typing import Any

from airflow.sdk import DAG, Asset, CronDataIntervalTimetable, PartitionedAssetTimetable, TaskGroup, chain

from nightly import tasks, training
from nightly.assets import assets_of
from nightly.dates import night
from nightly.settings import PATIENT, make_dag
from pipelines.deferred import AskBatchOperator
from pipelines.pools import pool_of
from schemas.run import Run

Assets = dict[str, Asset]


def dags_of(run: Run) -> list[DAG]:
    """The DAGs of a run file."""
    assets = assets_of(run)
    return [profiles_dag(run, assets), embeddings_dag(run, assets), training_dag(run, assets)]


def profiles_dag(run: Run, assets: Assets) -> DAG:
    """Read the source, cut it, ask every recipe in shards, and publish the profiles when they pass the gate."""
    file = str(run.file)
    with make_dag(run, "profiles", CronDataIntervalTimetable(run.schedule, timezone="UTC")) as dag:
        last = tasks.ingest(file) >> tasks.split.override(outlets=[assets["interactions"]])(file)
        for recipe in run.recipes:
            with TaskGroup(re.sub(r"\W", "_", recipe.name)):
                shards = tasks.plan_shards(file)
                asked = _asking(run, recipe.name, shards)
            last = last >> shards >> asked
        last >> tasks.publish.override(inlets=[assets["interactions"]], outlets=[assets["profiles"]])(file)
    return dag


def embeddings_dag(run: Run, assets: Assets) -> DAG:
    """Encode the texts that have no vector yet, and publish the embeddings when they pass the gate."""
    file = str(run.file)
    read = [assets["interactions"], assets["profiles"]]
    with make_dag(run, "embeddings", PartitionedAssetTimetable(assets=assets["profiles"])) as dag:
        tasks.encode(file) >> tasks.materialize.override(inlets=read, outlets=[assets["embeddings"]])(file)
    return dag


def training_dag(run: Run, assets: Assets) -> DAG:
    """Make codes and instructions where the run has any, fit every model with every seed, measure once, publish.

    The report is a teardown: it is written of a failed night too, and does not make a success of it.
    """
    file = str(run.file)
    pairs = [{"model": model.name, "seed": seed} for model in run.models for seed in run.seeds]
    with make_dag(run, "training", PartitionedAssetTimetable(assets=assets["embeddings"])) as dag:
        made = [name for name in ("semantic_ids", "instructions") if getattr(run, name)]
        read = [assets[name] for name in ("interactions", "profiles", "embeddings", *made)]
        fitted = (
            training.train.override(inlets=read, doc_md=training.train.function.__doc__)
            .partial(file=file)
            .expand_kwargs(pairs)
        )
        chain(*_before(run, assets, file), fitted)
        measured = training.evaluate.override(inlets=read, outlets=[assets["metrics"]])(file)
        lists = training.recommend.override(inlets=[*read, assets["metrics"]], outlets=[assets["recommendations"]])(
            file
        )
        everything = [*read, assets["metrics"], assets["recommendations"]]
        live = training.promote.override(inlets=everything, outlets=[assets["releases"]])(file)
        fed = [training.feed(file)] if run.online.store != "none" else []
        chain(fitted, measured, lists, live, *fed, training.report(file).as_teardown(on_failure_fail_dagrun=True))
    return dag


def _asking(run: Run, recipe: str, shards: Any) -> Any:
    """The task that asks a recipe: mapped over shards, or one that waits for its batches in the triggerer."""
    file, llm = str(run.file), run.llm_of(recipe)
    about = {
        "pool": pool_of(llm),
        "doc_md": tasks.ask.function.__doc__,
    }  # a mapped task does not take it from there itself
    if llm.mode == "batch":
        return AskBatchOperator(
            task_id="ask", file=file, recipe=recipe, night=night, execution_timeout=PATIENT, **about
        )
    one = tasks.ask.override(**about).partial(file=file, recipe=recipe, shards=run.llm.shards)
    return one.expand(shard=shards)


def _before(run: Run, assets: Assets, file: str) -> list[Any]:
    """What is made before models are fitted, in order."""
    made: list[Any] = []
    if run.semantic_ids:
        outlets = [assets["semantic_ids"]]
        made.append(training.tokenize.override(inlets=[assets["embeddings"]], outlets=outlets)(file))
    if run.instructions:
        read = [assets["interactions"], assets["profiles"], *([assets["semantic_ids"]] if run.semantic_ids else [])]
        made.append(training.instruct.override(inlets=read, outlets=[assets["instructions"]])(file))
    return made
