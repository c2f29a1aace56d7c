"""Loregraph's page inside Airflow's API server: made when it is first asked for, open to Airflow's own users.

Airflow does not look at who asks a mounted application; `infra.airflow.gate` does.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.types import ASGIApp, Receive, Scope, Send

REPOSITORY = Path(__file__).resolve().parents[2]
PREFIX = "/loregraph"


class Page:
    """The page as an ASGI application that imports nothing before the first request.

    Every service of Airflow loads its plugins; only the API server serves them.
    """

    def __init__(self) -> None:
        self._app: ASGIApp | None = None
        self._making = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._making:
            if self._app is None:
                self._app = await asyncio.to_thread(make_page)
        await self._app(scope, receive, send)


def make_page() -> FastAPI:
    """The page over the run files that Airflow runs; one that cannot be read is left out, as it has no DAGs."""
    from infra.airflow.gate import readers_of_dags
    from pipelines.run_files import find_runs
    from pipelines.ui.app import create_page
    from pipelines.ui.shelf import shelves_of

    runs, _ = find_runs(os.environ.get("LOREGRAPH_RUN", ""), REPOSITORY)
    return create_page(shelves_of([run.file for run in runs]), readers_of_dags)
