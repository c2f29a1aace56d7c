"""Two worlds, compared once for all tests: in one the books' texts tell their subject, in the other that of another."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.compare.matrix import run_compare
from pipelines.night import open_night
from schemas.run import load_run
from tests.support.compare_world import write_world

DS = "2026-01-01"


class World:
    """A run file, what comparing it has returned, and compare.json."""

    def __init__(self, home: Path, telling: bool) -> None:
        self.file = write_world(home, telling)
        self.counts = run_compare(self.file, ds=DS)
        self.found = json.loads(Path(self.counts["json"]).read_text())
        self.night = open_night(load_run(self.file), DS)

    def cell(self, name):
        return next(cell for cell in self.found["cells"] if cell["name"] == name)


@pytest.fixture(scope="session")
def told(tmp_path_factory):
    return World(tmp_path_factory.mktemp("told"), telling=True)


@pytest.fixture(scope="session")
def untold(tmp_path_factory):
    return World(tmp_path_factory.mktemp("untold"), telling=False)
