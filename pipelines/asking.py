"""Recommenders that ask a chat engine, at the night's ledger: under its cap, and free where the answers are known."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import polars as pl

from language_models.engines import make_engine
from language_models.inquiry import Counts as Calls
from language_models.ledger import Ledger
from pipelines.llm_runs import llm_runs, run_log
from pipelines.night import Night
from recommenders.base import Recommender
from recommenders.prompted.asker import Asker
from recommenders.prompted.base import Prompted
from recommenders.reranking import Reranker
from schemas.run import Run
from schemas.sections import Model


@contextmanager
def asking(night: Night, model: Model, recommender: Recommender) -> Iterator[None]:
    """While the block runs, a recommender that was made or loaded, and its retriever, ask at the night's ledger.

    What they ask is in the log of runs, as what recipes ask is. Nothing is opened for those that ask nobody.
    """
    parts = list(_prompted(model, night.run, recommender))
    with ExitStack() as stack:
        if parts:
            ledger = stack.enter_context(Ledger(night.ledger, night.ds))
            for part, each in parts:
                each.asker = stack.enter_context(_asker(night, part, ledger))
                stack.callback(setattr, each, "asker", Asker(each.asker.llm))
        yield


def publish_runs(night: Night) -> None:
    """Keep what models of the run have asked in the table `llm_runs`, beside what recipes have."""
    runs = llm_runs(night)
    if not runs.filter(pl.col("recipe").is_in([model.name for model in night.run.models])).is_empty():
        night.publish("llm_runs", runs)


@contextmanager
def _asker(night: Night, model: Model, ledger: Ledger) -> Iterator[Asker]:
    llm = night.run.llm_of_model(model)
    engine = make_engine(llm)
    with run_log(night, model.name, "user", 0, engine.name, engine.model, llm.mode) as log:

        def progress(calls: Calls) -> None:
            del calls  # the log has them
            log.tick()

        def say(line: str) -> None:
            night.progress.say(f"{model.name}: {line}")

        yield Asker(llm, engine, ledger, say, log.counts, progress)


def _prompted(model: Model, run: Run, recommender: Recommender) -> Iterator[tuple[Model, Prompted[Any, Any]]]:
    if isinstance(recommender, Prompted):
        yield model, recommender
    if isinstance(recommender, Reranker) and recommender.retriever is not None:
        yield from _prompted(recommender.retriever_of(model, run), run, recommender.retriever)
