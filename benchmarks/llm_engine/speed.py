"""R10 and throughput: our engine beside `AsyncOpenAI`, bare aiohttp and bespokelabs-curator, paired in one run.

Every client is a process of its own and asks the same questions at the same concurrency; rounds go through all clients
in turn, and a ratio is the median of the rounds' ratios. The simulator answers so soon that the client is what limits;
beside that, the figures at 200 ms, where the endpoint limits whoever is not too slow for it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.child import cpu_seconds, run_json
from benchmarks.figures import Figure, at_least, at_most, stated
from language_models.simulator.process import Simulator, simulator

SOON = {64: 0.0125, 256: 0.05}  # in flight -> latency, seconds: 5,120 answers per second, had the client time
USUAL = 0.2  # seconds
CLIENTS = ("ours", "openai", "openai_aiohttp", "aiohttp", "transport")
SHOWN = {
    "ours": "ours, ledger and parsing included",
    "engine": "ours without a ledger",
    "transport": "our connection alone",
    "openai": "AsyncOpenAI, default transport",
    "openai_aiohttp": "AsyncOpenAI, aiohttp transport",
    "aiohttp": "bare aiohttp",
    "curator": "bespokelabs-curator",
}
Runner = Callable[[Simulator, int, int, Path], dict[str, float]]  # endpoint, rows, concurrency, folder -> JSON


@dataclass(frozen=True)
class Result:
    """One run of one client."""

    rate: float  # answers per second
    cpu_ms: float  # of the client, per answer
    busy: float  # share of one core that the simulator used meanwhile


Results = dict[str, list[Result]]


def speed(folder: Path, waves: int, ledger_waves: int, rounds: int) -> list[Figure]:
    """R10 and the paired throughput at 64 and 256 in flight; every client asks `waves` times as many questions.

    What the ledger costs is measured at 200 ms, over `ledger_waves`: beginning and end of a run are part of it.
    """
    figures: list[Figure] = []
    for concurrency, latency in SOON.items():
        results = measure(folder / f"soon-{concurrency}", CLIENTS, waves, concurrency, latency, rounds)
        figures += _compared(results, f"{concurrency} in flight, {1000 * latency:g} ms")
    for concurrency in SOON:
        figures += _with_ledger(folder / f"usual-{concurrency}", ledger_waves, concurrency, rounds)
    return figures


def usual(folder: Path, waves: int, rounds: int) -> list[Figure]:
    """All clients at an endpoint of 200 ms, for the record."""
    figures: list[Figure] = []
    for concurrency in SOON:
        results = measure(folder / str(concurrency), CLIENTS, waves, concurrency, USUAL, rounds)
        figures += _listed(results, f"{concurrency} in flight, {1000 * USUAL:.0f} ms")
    return figures


def measure(
    folder: Path,
    names: Sequence[str],
    waves: int,
    concurrency: int,
    latency: float,
    rounds: int,
    others: Mapping[str, Runner] | None = None,
) -> Results:
    """Rounds of all clients at one simulator; each round begins with another client."""
    runners: dict[str, Runner] = {**{name: partial(_ours, name) for name in names}, **(others or {})}
    results: Results = {name: [] for name in runners}
    with simulator("--answers", "brief", "--latency", str(latency)) as endpoint:
        for turn in range(rounds):
            order = list(runners)[turn % len(runners) :] + list(runners)[: turn % len(runners)]
            for name in order:
                run = partial(runners[name], endpoint, waves * concurrency, concurrency, folder / f"{name}-{turn}")
                results[name].append(_timed(run, endpoint))
    return results


def ratio(results: Results, one: str, other: str) -> float:
    """Median over the rounds of the answers per second of one client over those of another."""
    return median(a.rate / b.rate for a, b in zip(results[one], results[other], strict=True))


def described(results: Results, name: str) -> str:
    """Median answers per second and CPU milliseconds per answer of a client, and how busy the simulator was."""
    rate, cpu_ms, busy = (median(getattr(run, field) for run in results[name]) for field in ("rate", "cpu_ms", "busy"))
    return f"{rate:,.0f}/s, {cpu_ms:.2f} ms CPU per row (simulator {100 * busy:.0f} % of a core)"


def _compared(results: Results, where: str) -> list[Figure]:
    above = median(a.cpu_ms - b.cpu_ms for a, b in zip(results["ours"], results["transport"], strict=True))
    versus = "ours / AsyncOpenAI on {}, {}"
    return [
        *_listed(results, where),
        at_least("throughput", versus.format("its default transport", where), ratio(results, "ours", "openai"), 1.8),
        at_least("R10", versus.format("aiohttp", where), ratio(results, "ours", "openai_aiohttp"), 0.9),
        at_most("R10", f"CPU per row above our connection alone, {where}", above, 0.5, " ms"),
    ]


def _listed(results: Results, where: str) -> list[Figure]:
    return [stated("throughput", f"{SHOWN[name]}, {where}", described(results, name)) for name in results]


def _with_ledger(folder: Path, waves: int, concurrency: int, rounds: int) -> list[Figure]:
    results = measure(folder, ("ours", "engine"), waves, concurrency, USUAL, rounds)
    share = 1 - ratio(results, "ours", "engine")
    where = f"{concurrency} in flight, {1000 * USUAL:.0f} ms"
    return [
        *_listed(results, where),
        at_most("R10", f"share of the time that ledger and judging add, {where}", 100 * share, 5, " %"),
    ]


def _ours(name: str, endpoint: Simulator, rows: int, concurrency: int, folder: Path) -> dict[str, float]:
    module = "benchmarks.llm_engine.clients"
    command = [sys.executable, "-m", module, name, endpoint.url, str(rows), str(concurrency), str(folder)]
    return run_json(command)


def _timed(run: Callable[[], dict[str, float]], endpoint: Simulator) -> Result:
    before = cpu_seconds(endpoint.process.pid)
    found = run()
    used = cpu_seconds(endpoint.process.pid) - before
    rows, seconds = found["rows"], found["seconds"]
    return Result(rows / seconds, 1000 * found["cpu_s"] / rows, used / seconds)
