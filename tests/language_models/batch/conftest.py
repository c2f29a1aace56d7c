"""One simulated endpoint for the folder, quiet and with counts of its own at the beginning of every test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.language_models.batch.runs import batches_at
from tests.support.simulator import Simulator, simulator

QUIET = {"batch_delay_s": 0.1}


@pytest.fixture(scope="package")
def shared_endpoint() -> Iterator[Simulator]:
    with simulator("--price-input", "10", "--price-output", "20") as sim:
        yield sim


@pytest.fixture
def sim(shared_endpoint: Simulator) -> Iterator[Simulator]:
    shared_endpoint.faults(QUIET)
    shared_endpoint.reset()
    yield shared_endpoint
    for batch in batches_at(shared_endpoint):  # what a test has left would be paid in the next one
        if batch["status"] in ("validating", "in_progress"):
            shared_endpoint.ask("POST", f"/v1/batches/{batch['id']}/cancel", {})


@pytest.fixture
def ledger_file(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"
