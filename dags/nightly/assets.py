"""The assets of a run: one for each group of tables that a task publishes, with what the event of a night says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk import Asset, get_current_context

from pipelines.published import GROUPS, facts
from schemas.run import Run

Counts = dict[str, Any]


def assets_of(run: Run) -> dict[str, Asset]:
    """The assets of a run by the name of their group."""
    return {name: Asset(f"loregraph://{run.name}/{name}", group="loregraph") for name in GROUPS}


def told(run: Run, ds: str, counts: Counts) -> Counts:
    """The counts of a step, after every outlet of its task has been told which night is ready, and with what in it."""
    context: Mapping[str, Any] = get_current_context()
    for asset in context["task"].outlets:
        event = context["outlet_events"][asset]
        event.extra = facts(run, ds, GROUPS[asset.uri.rpartition("/")[2]], counts)
        event.add_partitions(ds)
    return counts
