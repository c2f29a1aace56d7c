"""What is told when a task has failed for good or a DAG is late: a line in the night's folder, a webhook.

Telling never fails a task: what cannot be written or posted is logged.
"""

from __future__ import annotations

import asyncio
import datetime
import json
import logging
import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from pipelines.scheduled import date_of
from schemas.errors import ConfigError, LoregraphError, StoreError
from schemas.run import Run, load_run
from schemas.secrets import without_passwords

log = logging.getLogger(__name__)
FILE = "failures.jsonl"  # in the night's folder, a line for each failure
WITHIN = 10.0  # seconds that a webhook may take
AGAIN = "Clear the task: what is done is found again, and nothing is paid twice."
NEXT = {
    "ConfigError": "Mend the run file as the message says, then clear the task.",
    "DataError": "Mend the source, or the run file's columns; then clear `ingest` and what comes after it.",
    "LeakError": "Nothing was published. A held-out interaction has reached a prompt or feature: look for it first.",
    "EngineError": "Look at key, quota and address of the endpoint (`[llm]`), then clear the task.",
    "GateError": "The version before stays live. Read the rejects and `data_docs`; mend source or threshold; clear it.",
    "BudgetError": "All answers are kept. Raise `llm.max_cost_usd` or `airflow.total_usd`, then clear the task.",
    "StoreError": "Look at disk and rights of the lake, then clear the task; whole tables are written or nothing.",
    "DeadlineMissed": "The run goes on. Look at its slowest task; more `pool_slots`, or an earlier `schedule`.",
}


def told_of(error: BaseException | None, where: dict[str, Any]) -> dict[str, Any]:
    """The record of a failure: when, where, the error's class and message, its exit code, and what to do next."""
    names = [kind.__name__ for kind in type(error).__mro__] if error is not None else ["Killed"]
    return {
        "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **where,
        "error": names[0],
        "message": without_passwords(str(error))
        if error is not None
        else "the process was ended from outside, or its machine was lost",
        "exit_code": error.exit_code if isinstance(error, LoregraphError) else 1,
        "next_step": next((NEXT[name] for name in names if name in NEXT), AGAIN),
    }


def tell(file: Path, ds: str, record: dict[str, Any]) -> None:
    """Add the record to the night's failures and post it to the run's webhook, where it has one."""
    try:
        run = load_run(file)
    except ConfigError as error:  # which is then the failure itself
        log.warning("a failure is told in this log alone: %s; %s", error, record)
        return
    _keep(run, ds, record)
    _post(run, record)


def _keep(run: Run, ds: str, record: dict[str, Any]) -> None:
    from pipelines.night import open_night

    try:
        place = open_night(run, ds).folder / FILE
        line = (json.dumps(record, ensure_ascii=False) + "\n").encode()
        number = os.open(place, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(number, line)  # at once, so that the lines of two tasks do not mix
        finally:
            os.close(number)
    except (OSError, StoreError, ConfigError) as error:
        log.warning("a failure is told in this log alone: %s; %s", error, record)


def _post(run: Run, record: dict[str, Any]) -> None:
    """Post JSON to the webhook; its URL holds a secret, so it is neither in the run file nor in a log."""
    if run.airflow.webhook_env is None:
        return
    url = os.environ.get(run.airflow.webhook_env, "")
    if not url.startswith(("http://", "https://")):
        log.warning("airflow.webhook_env: %s holds no http address, so nobody is told", run.airflow.webhook_env)
        return
    request = urllib.request.Request(url, json.dumps(record).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=WITHIN):
            pass
    except (urllib.error.URLError, OSError, ValueError) as error:
        log.warning("airflow.webhook_env: %s: nobody was told: %s", run.airflow.webhook_env, type(error).__name__)


async def missed_deadline(file: str, part: str, hours: float, context: dict[str, Any]) -> None:
    """Called in the triggerer when a DAG of a run is late; `context["dag_run"]` as Airflow's REST API shows it."""
    ran = context["dag_run"]
    conf = ran.get("conf") or {}
    interval = (_time(ran.get("data_interval_start")), _time(ran.get("data_interval_end")))
    run_at = _time(ran.get("logical_date")) or _time(ran["run_after"])
    assert run_at is not None, "every run has a time"
    ds = date_of([conf.get("ds"), ran.get("partition_key")], interval, run_at)
    where = {"ds": ds, "dag": ran["dag_id"], "dag_run": ran["dag_run_id"]}
    late = DeadlineMissed(f"{part}: not done {hours:g} hours after it was queued; it goes on")
    await asyncio.to_thread(tell, Path(file), ds, told_of(late, where))


class DeadlineMissed(Exception):  # noqa: N818  it is told of, never raised
    """A DAG has not ended within `airflow.deadline_hours`."""


def _time(text: str | None) -> datetime.datetime | None:
    return None if text is None else datetime.datetime.fromisoformat(text)
