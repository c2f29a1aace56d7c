"""Who may read Loregraph's page in Airflow: users that Airflow knows, of each run those who may read its DAGs."""

from __future__ import annotations

import asyncio
from typing import Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagDetails
from airflow.api_fastapi.core_api.security import bearer_scheme, get_user
from airflow.models.dag import DagModel
from fastapi import Request
from starlette.exceptions import HTTPException

from pipelines.ui.security import LoginNeeded
from pipelines.ui.shelf import Shelf


async def readers_of_dags(request: Request) -> None:
    """Lets in whom Airflow knows, by cookie or bearer, and shows him the runs whose DAGs he may read."""
    manager = get_auth_manager()
    try:
        user = await get_user(request, None, await bearer_scheme(request))
    except HTTPException:
        raise LoginNeeded(manager.get_url_login(next_url=request.url.path)) from None
    shelves: dict[str, Shelf] = request.app.state.shelves
    readable = await asyncio.to_thread(lambda: {name: each for name, each in shelves.items() if reads(user, name)})
    if not readable:
        raise HTTPException(403, "your Airflow user may not read the DAGs of any run")
    request.state.shelves = readable


def reads(user: Any, run: str) -> bool:
    """Whether an Airflow user may read the DAG of a run that asks the language model."""
    dag = f"loregraph_{run}_profiles"
    details = DagDetails(id=dag, team_name=DagModel.get_team_name(dag))
    return bool(get_auth_manager().is_authorized_dag(method="GET", user=user, details=details))
