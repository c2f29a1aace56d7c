"""R11, R12: memory does not grow with the rows, and a million finished rows are passed over in seconds."""

from __future__ import annotations

import sys
import time
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.child import run_json
from benchmarks.figures import Figure, at_most, exactly, stated
from benchmarks.llm_engine.worker import RECIPE, books, ready, settings
from features.generation import questions
from language_models.engines import make_engine
from language_models.judging import Question
from language_models.ledger import Call, Ledger, Verdict
from language_models.protocols import OnlineEngine
from language_models.simulator.process import simulator
from schemas.chunks import chunks
from schemas.records import Completion

NOWHERE = "http://127.0.0.1:9/v1"  # nothing is asked of it
COMMIT = 5000  # rows per transaction while a ledger is built
MOST_MB = 100.0
CLOCKS = {"seconds": "seconds", "cpu_s": "CPU seconds"}
PASSES = 3  # runs over the finished rows
SAMPLE = 20_000  # questions whose making is timed
ANSWER = '{"summarization": "Readers of sea adventures.", "reasoning": "It is about a voyage."}'


def memory(folder: Path, few: int, many: int) -> list[Figure]:
    """R11: peak memory of a worker that has `few` and of one that has `many` questions answered at an endpoint."""
    folder.mkdir(parents=True, exist_ok=True)
    with simulator("--answers", "brief") as endpoint:
        small, large = (_work(folder / f"{rows}.sqlite", endpoint.url, rows, "recipe") for rows in (few, many))
    assert (small["asked"], large["asked"]) == (few, many)
    what = f"growth of peak memory, {few:,} to {many:,} rows asked ({small['peak_mb']:.0f} to {large['peak_mb']:.0f} MB"
    what += f", {large['seconds']:.0f} s)"
    return [at_most("R11", what, large["peak_mb"] - small["peak_mb"], MOST_MB, " MB")]


def resume(folder: Path, few: int, rows: int, most_s: float, clock: str = "seconds") -> list[Figure]:
    """R11, R12: a ledger of `rows` finished calls; how long a run takes to find that there is nothing to ask.

    The mark is for `seconds`, or for `cpu_s` where other work on the machine must not decide.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ledger, began = folder / "ledger.sqlite", time.monotonic()
    build(ledger, rows)
    built_s, size_mb = time.monotonic() - began, ledger.stat().st_size / 1e6
    small, *runs = (_work(ledger, NOWHERE, some, "ready", concurrency=64) for some in (few, *(rows,) * PASSES))
    large = min(runs, key=lambda run: run[clock])
    return [
        exactly("R12", f"calls made for {rows:,} finished rows", large["asked"], 0),
        exactly("R12", "rows found in the ledger", large["cached"], rows),
        at_most("R12", f"{CLOCKS[clock]} to pass over {rows:,} finished rows, best of {PASSES}", large[clock], most_s),
        stated("R12", "beside it: seconds to make the prompts by the recipe", f"{_making_s(rows):.1f}"),
        stated("R12", "the ledger", f"{size_mb:,.0f} MB, built in {built_s:.0f} s ({rows / built_s:,.0f} rows/s)"),
        at_most(
            "R11",
            f"growth of peak memory, {few:,} to {rows:,} rows passed over",
            large["peak_mb"] - small["peak_mb"],
            MOST_MB,
            " MB",
        ),
    ]


def build(ledger: Path, rows: int) -> None:
    """Lease, answer and judge `rows` questions without an endpoint, in large transactions."""
    engine = make_engine(settings(NOWHERE))
    assert isinstance(engine, OnlineEngine)
    with Ledger(ledger) as opened:
        for some in chunks(ready(rows), COMMIT):
            calls = [_call(question, engine) for question in some]
            with opened.transaction():
                opened.lease(calls)
                opened.respond([Completion(call.key, ANSWER, "stop", 300, 30, 1e-4, call.model, 0.5) for call in calls])
                opened.settle(Verdict(call.key, "parsed") for call in calls)


def _call(question: Question, engine: OnlineEngine) -> Call:
    key = engine.key(question.prompt)
    return Call(key, question.prompt, engine.name, engine.model, 1e-3, 300, engine.endpoint)


def _making_s(rows: int) -> float:
    """Seconds for `rows` prompts of the recipe, from a sample."""
    sample, engine = min(SAMPLE, rows), make_engine(settings(NOWHERE))
    began = time.perf_counter()
    made = sum(1 for _ in islice(questions(RECIPE, books(rows), engine), sample))
    return (time.perf_counter() - began) / made * rows


def _work(ledger: Path, url: str, rows: int, kind: str, concurrency: int = 128) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.llm_engine.worker", str(ledger), url, str(rows), "--questions", kind]
    return run_json([*command, "--llm", f'{{"concurrency": {concurrency}}}'])
