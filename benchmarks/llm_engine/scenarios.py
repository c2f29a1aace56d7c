"""What is measured, for which requirement, and at which sizes: in full, and in the short form of `--check`."""

from __future__ import annotations

from benchmarks.llm_engine.breakage import breakage
from benchmarks.llm_engine.crash import crash
from benchmarks.llm_engine.money import cap, duplicates, nights, reparse, two_workers
from benchmarks.llm_engine.pace import capacity, quota
from benchmarks.llm_engine.peers import against_curator
from benchmarks.llm_engine.scale import memory, resume
from benchmarks.llm_engine.speed import speed, usual
from benchmarks.llm_engine.suites import batch_crashes, stateful
from benchmarks.scenario import Scenario

SCENARIOS = (
    Scenario(
        "crash",
        ("R1", "R2"),
        lambda folder: crash(folder, rows=100_000, kills=5, concurrency=64),
        lambda folder: crash(folder, rows=1_200, kills=2, concurrency=32),
    ),
    Scenario("batch", ("R3",), lambda _: batch_crashes(quick=False), lambda _: batch_crashes(quick=True)),
    Scenario("workers", ("R4",), lambda folder: two_workers(folder, 20_000), lambda folder: two_workers(folder, 1_000)),
    Scenario(
        "duplicates", ("R5",), lambda folder: duplicates(folder, 20_000), lambda folder: duplicates(folder, 2_000)
    ),
    Scenario("nights", ("R6",), lambda folder: nights(folder, 10_000), lambda folder: nights(folder, 1_000)),
    Scenario("cap", ("R7",), lambda folder: cap(folder, 20_000), lambda folder: cap(folder, 3_000)),
    Scenario(
        "quota",
        ("R8",),
        lambda folder: quota(folder, warm_s=30, measured_s=120, burst_s=20),
        lambda folder: quota(folder, warm_s=5, measured_s=16, burst_s=2),
    ),
    Scenario("capacity", ("R9",), lambda folder: capacity(folder, 60), lambda folder: capacity(folder, 10)),
    Scenario(
        "speed",
        ("R10", "throughput"),
        lambda folder: speed(folder, waves=20, ledger_waves=20, rounds=3),
        lambda folder: speed(folder, waves=8, ledger_waves=15, rounds=2),
    ),
    Scenario("speed at 200 ms", ("throughput",), lambda folder: usual(folder, waves=20, rounds=2), None),
    Scenario(
        "curator",
        ("throughput", "peers"),
        lambda folder: against_curator(folder, waves=20, rounds=3),
        lambda folder: against_curator(folder, waves=12, rounds=2),
    ),
    Scenario(
        "memory",
        ("R11",),
        lambda folder: memory(folder, 10_000, 1_000_000),
        lambda folder: memory(folder, 5_000, 20_000),
    ),
    Scenario(
        "resume",
        ("R11", "R12"),
        lambda folder: resume(folder, 10_000, 1_000_000, most_s=10.0),
        lambda folder: resume(folder, 10_000, 100_000, most_s=1.0, clock="cpu_s"),
    ),
    Scenario("breakage", ("R13",), lambda folder: breakage(folder, 2_000), lambda folder: breakage(folder, 600)),
    Scenario("reparse", ("R16",), lambda folder: reparse(folder, 20_000), lambda folder: reparse(folder, 1_000)),
    Scenario("stateful", ("R17",), lambda _: stateful(quick=False), lambda _: stateful(quick=True)),
)
