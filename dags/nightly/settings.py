"""What the DAGs of a run have in common: owner, tries, time limits, deadlines, and who is told of a failure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import (
    DAG,
    AsyncCallback,
    DeadlineAlert,
    DeadlineReference,
    ExceptionRetryPolicy,
    Param,
    RetryAction,
    RetryRule,
)

from nightly.dates import night_of
from nightly.pages import dag_page
from pipelines.failures import tell, told_of
from schemas.errors import AnswerError, BudgetError, ConfigError, DataError, EngineError, GateError, LeakError
from schemas.run import Run
from schemas.sections.airflow import Part

# Trying again helps against the infrastructure only; a wrong run file, a failed gate or a spent budget stay so.
FINAL: list[Any] = [ConfigError, DataError, LeakError, EngineError, AnswerError, GateError, BudgetError]
LONGEST = timedelta(hours=6)
PATIENT = timedelta(hours=48)  # batches take up to a day, and their follow-ups another
SUBJECT = "{{ dag.dag_id }}: {{ ti.task_id }} failed"
LETTER = "Task <b>{{ ti.task_id }}</b> of <b>{{ run_id }}</b> failed: {{ exception }}<p>{{ ti.log_url }}"

Callback = Callable[[Mapping[str, Any]], None]


def make_dag(run: Run, part: Part, schedule: Any) -> DAG:
    """An empty DAG of a run with everything that the three have in common."""
    return DAG(
        dag_id=f"loregraph_{run.name}_{part}",
        schedule=schedule,
        start_date=datetime.combine(run.airflow.start_date, time(), UTC),
        catchup=run.airflow.catchup,
        max_active_runs=1,  # nights of one run share a ledger and a lake
        default_args=_defaults(run),
        params={
            "ds": Param(
                None,
                type=["null", "string"],
                format="date",
                description="Night to work on: it sees the events up to the end of this day (UTC). Empty: see below.",
            )
        },
        deadline=_deadlines(run, part),
        tags=["loregraph", run.name, part],
        doc_md=dag_page(run, part),
        render_template_as_native_obj=False,
    )


def _defaults(run: Run) -> dict[str, Any]:
    return {
        "owner": run.airflow.owner,
        "retries": run.airflow.retries,
        "retry_delay": timedelta(seconds=run.airflow.retry_delay_s),
        "retry_exponential_backoff": True,
        "retry_policy": ExceptionRetryPolicy(rules=[RetryRule(exception=FINAL, action=RetryAction.FAIL)]),
        "execution_timeout": LONGEST,
        "on_failure_callback": [_telling(run), *_letters(run)],
    }


def _telling(run: Run) -> Callback:
    """Writes the failure into the night's folder and posts it to the run's webhook, once no try is left.

    Called in the worker, or in the DAG processor where the worker was killed and can tell nothing any more.
    """
    file, name = run.file, run.name

    def failed(context: Mapping[str, Any]) -> None:
        ti, ds = context["ti"], night_of(context)
        where = {"run": name, "ds": ds, "dag": ti.dag_id, "task": ti.task_id, "map_index": ti.map_index}
        where |= {"dag_run": ti.run_id, "try": ti.try_number}
        error = context.get("exception")
        tell(Path(file), ds, told_of(error if isinstance(error, BaseException) else None, where))

    return failed


def _letters(run: Run) -> list[Any]:
    if not run.airflow.emails:
        return []
    from airflow.providers.smtp.notifications.smtp import SmtpNotifier  # a second to import, so only where wanted

    return [SmtpNotifier(to=list(run.airflow.emails), subject=SUBJECT, html_content=LETTER)]


def _deadlines(run: Run, part: Part) -> list[DeadlineAlert]:
    """Counted from when a run was queued: so a backfilled night is not late from the start."""
    if (hours := run.airflow.deadline_hours.get(part)) is None:
        return []
    about = {"file": str(run.file), "part": part, "hours": hours}
    late = AsyncCallback("pipelines.failures.missed_deadline", kwargs=about)
    return [DeadlineAlert(reference=DeadlineReference.DAGRUN_QUEUED_AT, interval=timedelta(hours=hours), callback=late)]
