"""One simulator for all tests that only change its script."""

from __future__ import annotations

import pytest

from tests.support.simulator import Simulator, simulator


@pytest.fixture(scope="session")
def running():
    with simulator("--idempotency", "--price-input", "1", "--price-output", "10") as sim:
        yield sim


@pytest.fixture
def sim(running: Simulator) -> Simulator:
    """A simulator without faults, with quick batches and with its counts at zero."""
    running.faults({"batch_delay_s": 0.05})
    running.reset()
    return running
