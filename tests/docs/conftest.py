"""One night on the cut sample for all pages."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.docs_world import make_world


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the commands and the Python of the pages run."""
    return make_world(tmp_path_factory.mktemp("pages") / "loregraph")
