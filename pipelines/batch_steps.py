"""One recipe's batches, a step at a time: what the Airflow operator calls between its waits."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from features.recipes.base import Recipe
from language_models.batch.desk import BatchDesk
from language_models.batch.driver import Standing, advance
from language_models.batch.walk import Round
from language_models.batch.window import deadline
from language_models.inquiry import Counts as Calls
from pipelines.desk import Desk, open_desk
from pipelines.llm_runs import run_log
from pipelines.night import Counts, open_night
from pipelines.scheduled import load_scheduled
from pipelines.steps.generation import COUNTED
from schemas.sections import Llm

if TYPE_CHECKING:
    from pipelines.deferred import Progress  # imports Airflow

LOOKS = 10  # of the trigger at a batch that is late, before the ledger is opened again
WHOLE = 0  # the shard number that stands for all of a recipe


def advance_recipe(file: str, ds: str, recipe: str, before: Progress | None = None) -> Progress:
    """Land what has ended and submit what is open of one recipe, without waiting; see `BatchWork`."""
    run = load_scheduled(Path(file), ds)
    night = open_night(run, ds)
    with open_desk(night) as opened:
        asked = opened.recipe(recipe)
        engine, llm = opened.engine(asked), opened.llm(asked)
        with run_log(night, recipe, asked.kind, WHOLE, engine.name, engine.model) as log:
            with BatchDesk(engine, opened.ledger, llm, log.counts) as desk:
                round = None if before is None else Round(**before["round"])
                standing = _advance(opened, asked, desk, round)
            progress = _progress(ds, standing, llm, log.counts, before)
    if not progress["open"]:
        night.record(f"ask--{recipe}--{WHOLE}--{run.llm.shards}", {**progress["counts"], "seconds": 0.0})
    return progress


def _advance(opened: Desk, asked: Recipe, desk: BatchDesk, round: Round | None) -> Standing:
    """One step; where answers have opened further questions (the next partitions), another one at once."""
    while True:
        ready = sum(1 for _ in opened.questions(asked)) if asked.partitioned else 0
        standing = advance(opened.questions(asked), desk, round)
        if standing.open or not asked.partitioned or sum(1 for _ in opened.questions(asked)) == ready:
            return standing
        round = standing.round


def _progress(ds: str, standing: Standing, llm: Llm, calls: Calls, before: Progress | None) -> Progress:
    soon = time.time() + LOOKS * llm.batch_poll_s if standing.batches else 0.0
    waiting = [batch for batch in standing.batches if batch.provider_id is not None]
    counts: Counts = {name: getattr(calls, name) for name in COUNTED}
    if before is not None:
        counts = {name: count + before["counts"][name] for name, count in counts.items()}
    return {
        "ds": ds,
        "open": standing.open,
        "batches": [str(batch.provider_id) for batch in waiting],
        "until": max(min((deadline(batch, llm) for batch in waiting), default=0.0), soon),
        "round": asdict(standing.round),
        "counts": counts,
    }
