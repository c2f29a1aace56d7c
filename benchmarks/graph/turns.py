"""Ours and the peers in turns: each a process of its own that stays loaded, one task at a time, another one first.

Each has one thread, and marks are for its CPU time, which is its wall time where nothing else runs. Several threads
wait for each other, busily, wherever the machine has other work: that alone made three times our time of a step. With
OMP_NUM_THREADS set, all have as many.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import IO, Any

from benchmarks.child import TAIL
from benchmarks.environment import ROOT
from benchmarks.graph.peers import HERE, PEERS
from schemas.errors import LoregraphError

PAUSE = 0.3  # seconds in which the threads of whoever was just at work go to sleep
THREADS = int(os.environ.get("OMP_NUM_THREADS", "1"))
Told = Mapping[str, Any]


@dataclass
class Client:
    """A process that serves turns (`peers/turns.py`)."""

    process: subprocess.Popen[str]
    errors: IO[str]
    facts: Told

    def turn(self, task: str) -> Told:
        """Do a task; gives wall `seconds`, `cpu_s`, `peak_mb` and what the task tells."""
        assert self.process.stdin is not None, "made with a pipe"
        self.process.stdin.write(f"{task}\n")
        self.process.stdin.flush()
        return self.told()

    def told(self) -> Told:
        """The next line of JSON. Raises LoregraphError with the end of stderr where the process has ended instead."""
        assert self.process.stdout is not None, "made with a pipe"
        line = self.process.stdout.readline()
        if not line:
            self.errors.seek(0)
            raise LoregraphError(f"{self.process.args!r}: ended early: {self.errors.read()[-TAIL:]}")
        found: Told = json.loads(line)
        return found


@dataclass(frozen=True)
class Ratio:
    """How often one takes as long as another: of medians, and the range of the turns."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f} to {self.high:.2f} over the turns)"


def ours(module: str, *arguments: str) -> list[str]:
    """The command of a client of our own, run by this interpreter."""
    return [sys.executable, "-m", f"benchmarks.graph.{module}", *arguments]


def peer(script: str, *arguments: str) -> list[str]:
    """The command of a peer, run by the interpreter of their environment."""
    return [str(PEERS.python), str(HERE / script), *arguments]


@contextmanager
def clients(commands: Mapping[str, Sequence[str]], threads: int = THREADS) -> Iterator[dict[str, Client]]:
    """Start the processes one after another, each with so many threads; they end with the block."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(_client(command, threads)) for name, command in commands.items()}


def alternate(tasks: Mapping[str, tuple[Client, str]], turns: int) -> dict[str, list[Told]]:
    """So many turns of every task after one that does not count; each round begins with another one."""
    names = list(tasks)
    found: dict[str, list[Told]] = {name: [] for name in names}
    for turn in range(turns + 1):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            client, task = tasks[name]
            time.sleep(PAUSE)
            told = client.turn(task)
            found[name] += [told] if turn else []
    return found


def ratio(one: Sequence[Told], other: Sequence[Told], field: str = "cpu_s") -> Ratio:
    """Time of `one` over that of `other`: median over median, and the least and largest of the turns' own ratios."""
    a, b = ([float(told[field]) for told in each] for each in (one, other))
    each = [x / y for x, y in zip(a, b, strict=True)]
    return Ratio(median(a) / median(b), min(each), max(each))


def described(told: Sequence[Told]) -> str:
    """Median and range of the CPU seconds, median of the wall seconds, and the peak of resident memory."""
    cpu = [float(each["cpu_s"]) for each in told]
    wall = median(float(each["seconds"]) for each in told)
    span = f"{min(cpu):.3g} to {max(cpu):.3g}"
    return f"{median(cpu):.3g} s of CPU ({span}), {wall:.3g} s of wall, {told[-1]['peak_mb']:,.0f} MB at most"


def environment(threads: int) -> dict[str, str]:
    """What tells every library how many threads to use."""
    return dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))


@contextmanager
def _client(command: Sequence[str], threads: int) -> Iterator[Client]:
    with tempfile.TemporaryFile("w+", encoding="utf-8") as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=ROOT,
            env=os.environ | environment(threads),
        )
        try:
            client = Client(process, errors, {})
            client.facts = client.told()
            yield client
        finally:
            process.kill()
            process.communicate()


def saved(folder: Path, name: str, **arrays: Any) -> str:
    """Arrays as an .npz file that a client reads."""
    import numpy as np

    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / f"{name}.npz", **arrays)
    return str(folder / f"{name}.npz")
