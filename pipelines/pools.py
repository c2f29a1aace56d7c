"""The pools of Airflow: one per endpoint, so that no more shards ask it than its quota bears, and one for training.

A pool bounds tasks that run at the same time; within each, the ledger's worker keeps the rates of requests and tokens.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypedDict
from urllib.parse import urlsplit

from schemas.run import Run
from schemas.sections import Llm

TRAINING = "loregraph_training"  # each fit takes every core, or the one accelerator there is


class Pool(TypedDict):
    """A pool as `airflow pools import` reads it."""

    slots: int
    description: str
    include_deferred: bool


def pool_of(llm: Llm) -> str:
    """The name of the pool of an endpoint: the same for every run that asks the same host and port."""
    where = llm.engine if llm.engine != "openai" else urlsplit(llm.base_url or "https://api.openai.com").netloc
    return "llm_" + re.sub(r"\W", "_", where.rpartition("@")[2].lower())


def pools(runs: Iterable[Run]) -> dict[str, Pool]:
    """Every pool that the DAGs of these runs name; where runs share an endpoint, with the smallest number of slots."""
    slots: dict[str, int] = {}
    for run in runs:
        for name in [pool_of(run.llm_of(recipe.name)) for recipe in run.recipes]:
            wanted = run.airflow.pool_slots or run.llm.shards
            slots[name] = min(wanted, slots.get(name, wanted))
    made = {name: _pool(count, "shards that ask this endpoint at once") for name, count in sorted(slots.items())}
    return {TRAINING: _pool(1, "one fit or encoding at a time"), **made}


def _pool(slots: int, description: str) -> Pool:
    return {"slots": slots, "description": f"Loregraph: {description}", "include_deferred": False}
