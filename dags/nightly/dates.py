"""The date that a task works on, from whatever Airflow knows of its run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk import get_current_context

from pipelines.scheduled import date_of


def night() -> str:
    """The date (`ds`) of the running task; see `night_of`."""
    return night_of(get_current_context())


def night_of(context: Mapping[str, Any]) -> str:
    """The date (`ds`) of a task: the same one in every try and in every later run for the same interval.

    In this order: the `ds` parameter, the partition that the asset before has published, the date of its event, the
    day on which the data interval starts, the last whole day (UTC) before a run that has no interval.
    """
    events = [event for each in (context.get("triggering_asset_events") or {}).values() for event in each]
    told = max((str(event.extra["ds"]) for event in events if event.extra.get("ds")), default=None)
    given = [(context.get("params") or {}).get("ds"), context.get("partition_key"), told]
    interval = (context.get("data_interval_start"), context.get("data_interval_end"))
    return date_of(given, interval, context.get("logical_date") or context["dag_run"].run_after)
