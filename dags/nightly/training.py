"""The tasks that make codes, instructions and models of a night's tables, and publish what the best one recommends."""

from __future__ import annotations

from pathlib import Path

from airflow.sdk import task

from nightly.assets import Counts, told
from nightly.dates import night
from nightly.keyed import keyed
from pipelines.pools import TRAINING
from schemas.run import load_run


@task
@keyed
def tokenize(file: str) -> Counts:
    """Make codes of the items' vectors; items that have one keep it.

    **If it fails:** the message names the entry of `[[semantic_ids]]`; clear it after mending the run file.
    """
    from pipelines import steps

    run, ds = load_run(Path(file)), night()
    return told(run, ds, steps.tokenize(run, ds))


@task
@keyed
def instruct(file: str) -> Counts:
    """Make the examples that language models are tuned on, from train alone.

    **If it fails:** the message names the entry of `[[instructions]]`; clear it after mending the run file.
    """
    from pipelines import steps

    run, ds = load_run(Path(file)), night()
    return told(run, ds, steps.instruct(run, ds))


@task(
    map_index_template="{{ task.op_kwargs['model'] }}, seed {{ task.op_kwargs['seed'] }}",
    max_active_tis_per_dag=1,
    pool=TRAINING,
)
@keyed
def train(file: str, model: str, seed: int) -> Counts:
    """Fit one model with one seed; one at a time, because each takes every core or the one accelerator there is.

    **If it fails:** clear it; it goes on from its last checkpoint. A model that does not fit into memory needs other
    settings in the run file.
    """
    from pipelines import steps

    return steps.train(load_run(Path(file)), night(), model=model, seed=seed)


@task
@keyed
def evaluate(file: str) -> Counts:
    """Measure every model of every seed on test, once, with its lift over the baseline.

    **If it fails:** clear it; it reads fitted models alone.
    """
    from pipelines import steps

    run, ds = load_run(Path(file)), night()
    return told(run, ds, steps.evaluate(run, ds))


@task
@keyed
def recommend(file: str) -> Counts:
    """Publish the lists of the best model on validation, never of a control; readers see all of them or none.

    **If it fails:** the lists before stay live; clear it.
    """
    from pipelines import steps

    run, ds = load_run(Path(file)), night()
    return told(run, ds, steps.recommend(run, ds))


@task
@keyed
def promote(file: str) -> Counts:
    """Make the night what readers see: one commit that pins a version of every table, and the live model.

    **If it fails:** with GateError the new model is not good enough: the release before stays live, and the message
    says by how much. Nothing needs to be cleared; the next night is judged anew.
    """
    from pipelines import steps
    from pipelines.steps.promotion import check_promoted

    run, ds = load_run(Path(file)), night()
    counts = steps.promote(run, ds)
    check_promoted(counts)
    return told(run, ds, counts)


@task
@keyed
def feed(file: str) -> Counts:
    """Bring what is live to the online store, which serves by key.

    **If it fails:** the store keeps serving the release before; clear it once the store can be reached.
    """
    from pipelines import steps

    return steps.feed(load_run(Path(file)), night())


@task
@keyed
def report(file: str) -> Counts:
    """Write report.json and report.html into the night's folder; of a night that has failed too, with what there is.

    **If it fails:** nothing that was published is touched; clear it.
    """
    from pipelines import steps

    return steps.report(load_run(Path(file)), night())
