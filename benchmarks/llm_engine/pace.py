"""R8, R9: an announced quota is used and not passed; a hidden capacity is found again after it has changed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from benchmarks.figures import Figure, at_least, at_most, stated
from language_models.simulator.process import Simulator, simulator

RPM, TPM = 600, 90_000
ENDLESS = 1_000_000  # rows: more than are asked before the worker is stopped
HIGH, LOW = 64, 32  # hidden capacity, requests in flight
LATENCY = 0.25  # seconds: 256 and 128 answers per second
SMOOTH = 3  # seconds that a rate is a mean of
BACK_S = 30.0


def quota(folder: Path, warm_s: float, measured_s: float, burst_s: float) -> list[Figure]:
    """R8: two workers at 600 requests and 90,000 tokens per minute, one short of requests and one short of tokens.

    The endpoint's buckets hold `burst_s` seconds of quota; counting begins `warm_s` seconds after the start, when they
    have been emptied.
    """
    limits = ("--rpm", str(RPM), "--tpm", str(TPM), "--fault", f"burst_s={burst_s}")
    endpoints: dict[str, Simulator] = {}
    with ExitStack() as stack:
        for kind in ("short", "recipe"):
            options = ("--answers", "brief", "--latency", "0.5", "--latency-spread", "0.3", *limits)
            endpoints[kind] = stack.enter_context(simulator(*options))
            stack.enter_context(worker(folder / kind, endpoints[kind], kind, concurrency=64))
        time.sleep(warm_s)
        before = {kind: endpoint.stats() for kind, endpoint in endpoints.items()}
        began = time.monotonic()
        time.sleep(measured_s)
        after = {kind: endpoint.stats() for kind, endpoint in endpoints.items()}
        minutes = (time.monotonic() - began) / 60
    return [figure for kind in endpoints for figure in _quota(kind, before[kind], after[kind], minutes)]


def _quota(kind: str, before: dict[str, int], after: dict[str, int], minutes: float) -> list[Figure]:
    grown = {name: after[name] - before[name] for name in ("requests", "paid", "rate_limited")}
    tokens = sum(after[name] - before[name] for name in ("input_tokens", "output_tokens"))
    used = {"requests": grown["paid"] / (RPM * minutes), "tokens": tokens / (TPM * minutes)}
    scarce = max(used, key=lambda name: used[name])
    where = f"{60 * minutes:.0f} s at {RPM} RPM and {TPM:,} TPM, short of {scarce}"
    share = 100 * grown["rate_limited"] / max(1, grown["requests"])
    return [
        at_most("R8", f"429 among {grown['requests']:,} {kind} requests, {where}", share, 1.0, " %"),
        at_least("R8", f"quota of {scarce} used, {where}", 100 * used[scarce], 95.0, " %"),
    ]


@dataclass(frozen=True)
class Phase:
    """A capacity, and the answers of each second while it held."""

    capacity: int
    per_second: Sequence[float]

    @property
    def full(self) -> float:
        """Answers per second that the capacity allows."""
        return self.capacity / LATENCY

    @property
    def smoothed(self) -> list[float]:
        """Share of the capacity that was used, as means of `SMOOTH` seconds."""
        rates = self.per_second
        return [mean(rates[start : start + SMOOTH]) / self.full for start in range(len(rates) - SMOOTH + 1)]

    @property
    def back_s(self) -> float:
        """Seconds until 90 % of the capacity was used."""
        return next((float(second) for second, share in enumerate(self.smoothed) if share >= 0.9), float("inf"))


def capacity(folder: Path, phase_s: int) -> list[Figure]:
    """R9: 64, 32 and again 64 requests at once are served, the others get a bare 429; nobody says so."""
    options = ("--answers", "brief", "--latency", str(LATENCY), "--hidden-capacity", str(HIGH))
    with simulator(*options) as endpoint, worker(folder, endpoint, "ready", concurrency=128):
        while endpoint.stats()["paid"] < HIGH:
            time.sleep(0.1)
        phases = [_phase(endpoint, size, phase_s) for size in (HIGH, LOW, HIGH)]
        stats = endpoint.stats()
    found, halved, doubled = phases
    lowest = min(min(phase.per_second) for phase in phases[1:]) / halved.full
    used = ", ".join(f"{100 * phase.smoothed[-1]:.0f} % of {phase.capacity}" for phase in phases)
    share = 100 * stats["rate_limited"] / stats["requests"]
    return [
        at_most("R9", f"seconds to 90 % of {HIGH} in flight, from the start", found.back_s, BACK_S),
        at_most("R9", f"seconds to 90 % of {LOW} in flight, after it halved", halved.back_s, BACK_S),
        at_most("R9", f"seconds to 90 % of {HIGH} in flight, after it doubled", doubled.back_s, BACK_S),
        at_least("R9", "slowest second after the changes / the lower capacity", 100 * lowest, 50, " %"),
        stated("R9", f"used at the end of each phase of {phase_s} s", f"{used}; {share:.1f} % of requests were 429"),
    ]


def _phase(endpoint: Simulator, size: int, seconds: int) -> Phase:
    endpoint.change({"hidden_capacity": size})
    counts, times = [endpoint.stats()["paid"]], [time.monotonic()]
    for _ in range(seconds):
        time.sleep(max(0.0, times[0] + len(counts) - time.monotonic()))
        counts.append(endpoint.stats()["paid"])
        times.append(time.monotonic())
    steps = zip(counts, counts[1:], times, times[1:], strict=False)
    return Phase(size, [(later - earlier) / (until - since) for earlier, later, since, until in steps])


@contextmanager
def worker(folder: Path, endpoint: Simulator, kind: str, **llm: object) -> Iterator[subprocess.Popen[bytes]]:
    """A worker that asks without end; stopped by SIGTERM when the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    module, ledger = "benchmarks.llm_engine.worker", str(folder / "ledger.sqlite")
    command = [sys.executable, "-m", module, ledger, endpoint.url, str(ENDLESS), "--questions", kind]
    process = subprocess.Popen([*command, "--llm", json.dumps(llm)], stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
