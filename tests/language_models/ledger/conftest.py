"""Ledgers in both databases: an SQLite file per test, and a database per test on one PostgreSQL server."""

from __future__ import annotations

import pytest

from tests.language_models.ledger.workers import Worker
from tests.support.postgres import postgres_server


@pytest.fixture(scope="session")
def postgres():
    with postgres_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def place(request, tmp_path):
    """Where a ledger may be made."""
    if request.param == "sqlite":
        return str(tmp_path / "ledger.sqlite")
    return request.getfixturevalue("postgres").empty()


@pytest.fixture
def workers(place):
    """Start workers of one ledger, each a process of its own; those that still run are killed at the end."""
    started = []

    def start(night="", where=None, ready=True):
        worker = Worker(where or place, night)
        started.append(worker)
        if ready:
            worker.do("abandon", [])
        return worker

    yield start
    for worker in started:
        worker.kill()
