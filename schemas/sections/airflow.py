"""How Airflow runs a run file: when it is late, how often it tries, who is told, and how many shards ask at once."""

from __future__ import annotations

import datetime
from typing import Annotated, Literal

from pydantic import Field

from schemas.sections.base import Section

Part = Literal["profiles", "embeddings", "training"]


class Airflow(Section):
    """Of a folder of run files, those with this section become DAGs; when they run says the run file's `schedule`."""

    owner: str = Field("loregraph", description="owner of the DAGs in Airflow")
    start_date: datetime.date = Field(datetime.date(2026, 1, 1), description="no night before it is scheduled")
    catchup: bool = Field(False, description="run the nights that were missed while Airflow stood still, one by one")
    retries: int = Field(2, ge=0, description="tries of a task after the first; final errors are not tried again")
    retry_delay_s: float = Field(60.0, ge=0, description="seconds before the second try, doubled for every further one")
    pool_slots: int | None = Field(
        None,
        gt=0,
        description="shards that ask one endpoint at once; default: llm.shards; the smallest of all run files",
    )
    deadline_hours: dict[Part, float] = Field(
        {}, description="hours after it was queued within which a DAG must be done, else somebody is told"
    )
    total_usd: float | None = Field(
        None,
        ge=0,
        description="dollars for all nights of the ledger together, a backfill for one; else each has its cap",
    )
    webhook_env: str | None = Field(
        None, description="environment variable with the URL that failures and missed deadlines are posted to as JSON"
    )
    connections: dict[Annotated[str, Field(pattern=r"^[A-Za-z_]\w{0,99}$")], str] = Field(
        {}, description="environment variable of a key -> Airflow connection whose password it is, in tasks alone"
    )
    emails: tuple[str, ...] = Field((), description="told of failures through Airflow's connection smtp_default")
