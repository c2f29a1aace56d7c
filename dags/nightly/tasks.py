"""The tasks: each calls one function of `pipelines.steps` and nothing else, and only the task imports it.

A task's docstring is its page in Airflow; `keyed` gives it the keys that Airflow keeps. Every task may be cleared and
run again: it finds what is done.
"""

from __future__ import annotations

from pathlib import Path

from airflow.sdk import get_current_context, task

from nightly.assets import Counts, told
from nightly.dates import night
from nightly.keyed import keyed
from pipelines.pools import TRAINING
from pipelines.scheduled import load_scheduled
from schemas.run import load_run


@task
@keyed
def ingest(file: str) -> Counts:
    """Read the source as it was at the end of `ds`, and check every row; unusable ones go to `rejects` with a reason.

    **If it fails:** the message names file, column, id and value. Mend the source or the run file and clear the task.
    """
    from pipelines import steps

    return steps.ingest(load_run(Path(file)), night())


@task
@keyed
def split(file: str) -> Counts:
    """Cut the interactions up to the end of `ds` into train, valid and test.

    **If it fails:** `[split]` of the run file does not fit the data; the message says how.
    """
    from pipelines import steps

    run, ds = load_run(Path(file)), night()
    return told(run, ds, steps.split(run, ds))


@task
@keyed
def plan_shards(file: str) -> list[int]:
    """Say what is to be asked and what it may cost (XCom `counts`), and return the shards to ask. Asks nothing.

    **If it fails:** the ledger or the price table cannot be read; the message names it.
    """
    from pipelines import steps

    ds = night()
    run = load_scheduled(Path(file), ds)
    get_current_context()["ti"].xcom_push("counts", steps.plan(run, ds))
    return list(range(run.llm.shards))


@task(map_index_template="shard {{ task.op_kwargs['shard'] }}")
@keyed
def ask(file: str, recipe: str, shards: int, shard: int) -> Counts:
    """Ask one shard of a recipe what the ledger does not know. Killed and run again, it pays for nothing twice.

    **If it fails:** with BudgetError the cap is reached: all answers are kept, raise the cap and clear the task; with
    EngineError look at key, quota and address.
    """
    from pipelines import steps

    ds = night()
    return steps.ask(load_scheduled(Path(file), ds), ds, recipe=recipe, shard=shard, shards=shards)


@task
@keyed
def publish(file: str) -> Counts:
    """Read the answers, gate the profiles, publish them.

    **If it fails:** with GateError the version before stays live; read `rejects` and the Data Docs in the night's
    folder, mend the cause, and clear the task. Nothing is asked again.
    """
    from pipelines import steps

    run, ds = load_run(Path(file)), night()
    return told(run, ds, steps.publish(run, ds))


@task(pool=TRAINING)
@keyed
def encode(file: str) -> Counts:
    """Encode the texts that have no vector yet, a chunk at a time.

    **If it fails:** clear it; it goes on after the last chunk that was written.
    """
    from pipelines import steps

    return steps.encode(load_run(Path(file)), night())


@task
@keyed
def materialize(file: str) -> Counts:
    """Gate the embeddings and publish them.

    **If it fails:** with GateError the embeddings before stay live; the Data Docs in the night's folder say why.
    """
    from pipelines import steps

    run, ds = load_run(Path(file)), night()
    return told(run, ds, steps.materialize(run, ds))
