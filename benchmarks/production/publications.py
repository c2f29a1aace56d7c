"""Readers in a loop while nights are published and publishers are killed: never an empty, partial or mixed version.

A publisher writes three tables of a night and then releases them, in a process of its own that is ended by `kill -9`
at random moments. Readers, in theirs, go through the latest release and check that every table is whole and of the
night that the release names; and read the tables alone, which must be whole, whichever night they are of.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from benchmarks.child import run_json
from benchmarks.figures import Figure, at_least, exactly, stated
from features.releases import Releases
from features.store import DeltaStore

MODULE = "benchmarks.production.publishing"
READERS = 3
ROWS = 2_000  # of a table and night
FIRST = date(2026, 1, 1)
ONCE_S = 0.15  # about what it takes to publish, within which a kill falls
FAULTS = ("empty", "partial", "mixed", "errors")


@dataclass(frozen=True)
class Published:
    """What came of it: publications asked for and made, and what each reader has seen."""

    nights: int
    kills: int
    releases: int
    readers: list[dict[str, Any]]

    def total(self, name: str) -> int:
        return sum(int(reader[name]) for reader in self.readers)


def publications(folder: Path) -> list[Figure]:
    """100 publications, 20 kills."""
    return figures(published(folder, nights=100, kills=20))


def check_publications(folder: Path) -> list[Figure]:
    """20 publications, 5 kills."""
    return figures(published(folder, nights=20, kills=5))


def figures(found: Published) -> list[Figure]:
    """The marks."""
    about = f"{found.nights} nights of three tables, publisher killed {found.kills} times, {len(found.readers)} readers"
    wrong = [exactly("readers", f"reads that were {name}", found.total(name), 0) for name in FAULTS]
    return [
        stated("readers", "publications", about),
        *wrong,
        exactly("readers", "releases without a gap, one per night", found.releases, found.nights),
        at_least("readers", "reads of whole releases", found.total("releases_read"), found.nights),
        at_least("readers", "reads of single tables", found.total("tables_read"), found.nights),
        at_least(
            "readers", "different releases that a reader saw, the fewest of any", fewest(found), found.nights // 4
        ),
    ]


def fewest(found: Published) -> int:
    """A reader that sees few releases would prove little."""
    return min(int(reader["different"]) for reader in found.readers)


def published(folder: Path, nights: int, kills: int, seed: int = 0) -> Published:
    """Publish every night; a publisher that is killed is followed by one that goes on from the last release."""
    lake, stop = folder / "lake", folder / "stop"
    chance = random.Random(seed)
    at = sorted(chance.sample(range(1, nights), kills))
    publish(lake, 0)
    with readers(lake, stop) as started:
        for number in at:
            kill_while_publishing(lake, number, nights, chance)
        publish(lake, nights - 1)
        stop.touch()
        told = [run_told(reader) for reader in started]
    releases = Releases(DeltaStore(str(lake))).all()
    gapless = [release.number for release in releases] == list(range(1, len(releases) + 1))
    nights_released = len({release.ds for release in releases})
    return Published(nights, len(at), nights_released if gapless else -1, told)


def ds_of(number: int) -> str:
    return (FIRST + timedelta(days=number)).isoformat()


def publish(lake: Path, last: int) -> None:
    """All nights up to the last one. Raises LoregraphError where that fails."""
    run_json(command("publish", str(lake), ds_of(last)))


def kill_while_publishing(lake: Path, number: int, nights: int, chance: random.Random) -> None:
    """Kill a publisher at some moment after it has released a night, or an earlier one has: it is writing the next."""
    with subprocess.Popen(command("publish", str(lake), ds_of(nights)), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:  # a night for each release, the last one of the lake first
            if line.strip() >= ds_of(number):
                break
        time.sleep(chance.uniform(0, ONCE_S))
        process.kill()


@contextmanager
def readers(lake: Path, stop: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that read until the file `stop` is there."""
    started = [
        subprocess.Popen(command("read", str(lake), str(stop)), stdout=subprocess.PIPE, text=True)
        for _ in range(READERS)
    ]
    try:
        for process in started:
            assert process.stdout is not None
            process.stdout.readline()  # it says that it reads
        yield started
    finally:
        for process in started:
            process.kill()
            process.wait()


def run_told(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What a reader has counted."""
    out, _ = process.communicate(timeout=60)
    found: dict[str, Any] = json.loads(out.splitlines()[-1])
    return found


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", MODULE, *arguments]
