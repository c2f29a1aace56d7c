"""Adds Loregraph's page to Airflow: under /loregraph of the API server, and in the navigation."""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import urlsplit

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin

from infra.airflow.page import PREFIX, Page

BELOW = urlsplit(conf.get("api", "base_url", fallback="")).path.rstrip("/")  # where Airflow itself is mounted


class LoregraphPage(AirflowPlugin):  # type: ignore[misc]  # Airflow is not typed here
    """What Airflow's plugin interface is told."""

    name = "loregraph_page"
    fastapi_apps: ClassVar[list[Any]] = [{"app": Page(), "url_prefix": PREFIX, "name": "Loregraph"}]
    external_views: ClassVar[list[Any]] = [
        {"name": "Loregraph", "href": f"{BELOW}{PREFIX}/", "destination": "nav", "url_route": "loregraph"}
    ]
