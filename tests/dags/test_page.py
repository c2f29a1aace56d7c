"""Loregraph's page in Airflow's API server: light to load, in the navigation, open to those who may read the DAGs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytestmark = [pytest.mark.airflow, pytest.mark.xdist_group("airflow")]

HEAVY = ("torch", "polars", "deltalake", "pyarrow", "pipelines.ui.app", "great_expectations")
LOAD = """
import json, sys
from airflow import plugins_manager
plugins_manager.ensure_plugins_loaded()
found, errors = plugins_manager._get_plugins()
print(json.dumps({"names": [each.name for each in found], "errors": errors, "modules": sorted(sys.modules)}))
"""


@pytest.fixture(scope="module")
def server(airflow: Any) -> Iterator[Any]:
    """Airflow's API server in this process, with the plugins of the repository."""
    from airflow.api_fastapi.app import create_app, purge_cached_app
    from fastapi.testclient import TestClient

    purge_cached_app()
    yield TestClient(create_app(apps="core"), base_url="http://testserver")
    purge_cached_app()


def token_of(role: str) -> str:
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    return str(get_auth_manager().generate_jwt(SimpleAuthManagerUser(username="someone", role=role)))


def test_loading_the_plugin_imports_nothing_heavy(environment: Callable[[], Path]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOAD], env=dict(os.environ), capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout.splitlines()[-1])
    assert "loregraph_page" in found["names"], found["errors"]
    assert [name for name in HEAVY if name in found["modules"]] == []


def test_who_is_not_logged_in_is_sent_to_airflows_login(server: Any) -> None:
    for path in ("/loregraph/", "/loregraph/runs/sample", "/loregraph/runs/sample/live"):
        answer = server.get(path)
        assert answer.status_code == 401
        assert "/auth/login?next=" in answer.text
        assert "lake" not in answer.text
    forged = server.get("/loregraph/runs/sample", headers={"Authorization": "Bearer not.a.token"})
    assert forged.status_code == 401


def test_a_viewer_reads_every_run_whose_dags_he_may_read(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.api_fastapi.app import get_auth_manager

    about = {"Authorization": f"Bearer {token_of('VIEWER')}"}
    runs = server.get("/loregraph/", headers=about)
    assert runs.status_code == 200
    assert 'href="/loregraph/runs/past"' in runs.text
    assert 'href="/loregraph/static/page.css"' in runs.text
    sample = server.get("/loregraph/runs/sample", headers=about)
    assert sample.status_code == 200
    assert "<h1>sample</h1>" in sample.text
    assert "frame-ancestors 'self'" in sample.headers["Content-Security-Policy"]

    asked: list[SimpleNamespace] = []

    def only_past(**given: Any) -> bool:
        asked.append(SimpleNamespace(**given))
        return bool(given["details"].id == "loregraph_past_profiles")

    monkeypatch.setattr(get_auth_manager(), "is_authorized_dag", only_past)
    assert server.get("/loregraph/runs/past", headers=about).status_code == 200
    hidden = server.get("/loregraph/runs/sample", headers=about)
    assert hidden.status_code == 404
    assert "there are past" in hidden.text
    assert {each.method for each in asked} == {"GET"}
    monkeypatch.setattr(get_auth_manager(), "is_authorized_dag", lambda **_: False)
    assert server.get("/loregraph/", headers=about).status_code == 403


def test_the_cookie_of_airflows_login_opens_the_page(server: Any) -> None:
    server.cookies.set("_token", token_of("ADMIN"))
    try:
        assert server.get("/loregraph/runs/sample/users").status_code in (200, 404)  # 404: no night has run yet
        assert server.get("/loregraph/runs/sample").status_code == 200
    finally:
        server.cookies.clear()


def test_the_navigation_has_it(server: Any) -> None:
    answer = server.get("/api/v2/plugins", headers={"Authorization": f"Bearer {token_of('ADMIN')}"})
    plugins = {each["name"]: each for each in answer.json()["plugins"]}
    view = plugins["loregraph_page"]["external_views"][0]
    assert (view["name"], view["href"], view["destination"]) == ("Loregraph", "/loregraph/", "nav")
