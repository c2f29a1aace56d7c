"""The nights of `tests.support.watched_world`, run once."""

from __future__ import annotations

import pytest

from tests.support.watched_world import Nights, watched_nights


@pytest.fixture(scope="session")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Nights:
    return watched_nights(tmp_path_factory.mktemp("watched"))
