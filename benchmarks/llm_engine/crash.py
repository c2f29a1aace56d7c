"""R1, R2: a flaky endpoint and `kill -9` at random: nothing lost, nothing twice, no acknowledged answer paid again."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import Figure, at_most, exactly
from benchmarks.llm_engine.worker import RECIPE, books, settings
from features.generation import Generation, read_all
from language_models.engines import make_engine
from language_models.ledger import Ledger
from language_models.simulator.process import Simulator, simulator
from schemas.records import ProfileRow, canonical, sha256

FLAKY = {
    "rate_limit_after": 0.025,
    "rate_limit": 0.025,
    "retry_after_s": 0.5,
    "server_error": 0.02,
    "truncated_json": 0.01,
    "length": 0.005,
    "reset": 0.005,
    "hang": 0.002,
}


@dataclass(frozen=True)
class Run:
    """What a run of all rows left behind: its tables, the endpoint's counts, and the leases that kills left open."""

    read: Generation
    stats: dict[str, int]
    settled: int
    answered_twice: int  # turns of a call with more than one stored answer
    open_at_kills: list[int]
    unknown: int
    seconds: float

    @property
    def tables(self) -> str:
        """A digest of the sorted rows and rejects, whatever the order they came in."""
        rows = sorted((row.id, row.field, row.text) for row in self.profiles)
        return sha256(canonical([rows, sorted((reject.id, reject.reason) for reject in self.read.rejects)]))

    @property
    def profiles(self) -> list[ProfileRow]:
        return [row for row in self.read.rows if isinstance(row, ProfileRow)]

    @property
    def twice(self) -> int:
        """Rows whose item and field another row has as well."""
        return len(self.profiles) - len({(row.id, row.field) for row in self.profiles})


def crash(folder: Path, rows: int, kills: int, concurrency: int, seed: int = 1) -> list[Figure]:
    """R1 and R2 with `kills` kills of a process that asks about `rows` items."""
    killed = run(folder / "killed", rows, kills, concurrency, seed)
    calm = run(folder / "calm", rows, 0, concurrency, seed)
    gateway = run(folder / "gateway", rows, kills, concurrency, seed, idempotency=True)
    served = killed.stats["paid"] - killed.stats["by_fault"].get("reset", 0)  # type: ignore[attr-defined]
    beyond = served - _paid_answers(folder / "killed")
    return [
        exactly("R1", f"rows lost of {rows:,} after {kills} kill -9", rows - killed.settled, 0),
        exactly("R1", f"rows that stand twice, of {len(killed.profiles):,}", killed.twice, 0),
        exactly("R1", "acknowledged answers paid twice", killed.answered_twice, 0),
        at_most("R1", "answers paid and lost by kills (at most what was in flight)", beyond, sum(killed.open_at_kills)),
        exactly("R1", "paid twice at an endpoint that honours Idempotency-Key", gateway.stats["paid_twice"], 0),
        exactly("R1", "rows lost there", rows - gateway.settled, 0),
        exactly("R2", "tables that differ between killed and undisturbed runs", killed.tables != calm.tables, 0),
    ]


def run(folder: Path, rows: int, kills: int, concurrency: int, seed: int = 1, idempotency: bool = False) -> Run:
    """Ask about all rows at a flaky endpoint, killing the worker at random moments."""
    folder.mkdir(parents=True, exist_ok=True)
    ledger, draw, open_at_kills = folder / "ledger.sqlite", random.Random(seed), list[int]()
    faults = [f"--fault={name}={value}" for name, value in FLAKY.items()]
    extra = ["--idempotency"] if idempotency else []
    began = time.monotonic()
    with simulator("--seed", str(seed), "--answers", "offline", "--latency", "0.02", *faults, *extra) as endpoint:
        llm = {"concurrency": concurrency, "timeout_s": 2.0, "recovery": "idempotency" if idempotency else "none"}
        for kill in range(kills):
            share = (kill + draw.uniform(0.2, 0.8)) / (kills + 1)
            _work_until(endpoint, ledger, rows, llm, paid=int(share * rows))
            open_at_kills.append(_leased(ledger))
        _work(endpoint, ledger, rows, llm)
        return _result(endpoint, ledger, rows, open_at_kills, time.monotonic() - began)


def _command(endpoint: Simulator, ledger: Path, rows: int, llm: Mapping[str, object]) -> list[str]:
    module = "benchmarks.llm_engine.worker"
    return [sys.executable, "-m", module, str(ledger), endpoint.url, str(rows), "--llm", json.dumps(llm)]


def _work(endpoint: Simulator, ledger: Path, rows: int, llm: Mapping[str, object]) -> None:
    """To the end; calls that failed for good are asked again by a second run, as the next night would."""
    for _ in range(2):
        subprocess.run(_command(endpoint, ledger, rows, llm), check=True, stdout=subprocess.DEVNULL)


def _work_until(endpoint: Simulator, ledger: Path, rows: int, llm: Mapping[str, object], paid: int) -> None:
    with subprocess.Popen(_command(endpoint, ledger, rows, llm), stdout=subprocess.DEVNULL) as worker:
        while endpoint.stats()["paid"] < paid and worker.poll() is None:
            time.sleep(0.02)
        worker.kill()


def _leased(ledger: Path) -> int:
    with Ledger(ledger) as opened:
        return len(opened.orphans())


def _paid_answers(folder: Path) -> int:
    return _count(folder / "ledger.sqlite", "SELECT count(*) FROM answers WHERE finish_reason NOT LIKE '%:%'")


def _count(ledger: Path, query: str) -> int:
    import sqlite3

    with sqlite3.connect(ledger) as database:
        return int(database.execute(query).fetchone()[0])


def _result(endpoint: Simulator, ledger: Path, rows: int, open_at_kills: list[int], seconds: float) -> Run:
    engine = make_engine(settings(endpoint.url))
    twice = (
        "SELECT count(*) FROM (SELECT 1 FROM answers WHERE finish_reason NOT LIKE '%:%' "
        "GROUP BY call, turn HAVING count(*) > 1)"
    )
    with Ledger(ledger) as opened:
        read = read_all(RECIPE, books(rows), engine, opened)
        keys = [line.key for line in read.lineage]
        settled = len(opened.settled(keys)) + len(opened.failures(keys))
        unknown = opened.totals().unknown
    return Run(read, endpoint.stats(), settled, _count(ledger, twice), open_at_kills, unknown, seconds)
