"""A scheduler's view of a night: which date a run is for, and what the night may cost after those before it."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path

from schemas.run import Run, load_run

DAY = datetime.timedelta(days=1)


def date_of(
    given: Sequence[str | None],
    interval: tuple[datetime.datetime | None, datetime.datetime | None],
    run_at: datetime.datetime,
) -> str:
    """The date (`ds`) of a run: the same in every try, and in every later run for the same interval.

    In this order: the first date that is given, the day (UTC) on which the data interval starts, the last whole day
    before `run_at` where there is no interval (or an empty one).
    """
    told = next(filter(None, given), None)
    if told is not None:
        return str(told)
    start, end = interval
    if start is not None and start != end:
        return start.astimezone(datetime.UTC).date().isoformat()
    return (run_at.astimezone(datetime.UTC) - DAY).date().isoformat()


def load_scheduled(file: Path, ds: str) -> Run:
    """The run of a file, its cap lowered to what the other nights have left of `airflow.total_usd`."""
    run = load_run(file)
    if run.airflow.total_usd is None:
        return run
    left = max(0.0, run.airflow.total_usd - spent_on_others(run, ds))
    cap = run.llm.max_cost_usd
    return load_run(file, max_cost_usd=left if cap is None else min(cap, left))


def spent_on_others(run: Run, ds: str) -> float:
    """Dollars spent, or possibly spent, on every other night that the work folder knows."""
    from language_models.ledger import Ledger
    from pipelines.night import open_night

    night, spent = open_night(run, ds), 0.0
    for folder in sorted((night.work / "nights").iterdir()):
        if folder.name != ds:
            with Ledger(night.ledger, folder.name) as ledger:
                totals = ledger.totals()
            spent += totals.spent_usd + totals.possible_usd + totals.reserved_usd
    return spent
