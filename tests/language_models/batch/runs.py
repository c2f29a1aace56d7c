"""Runs of the batch mode in processes of their own, which a test kills at a checkpoint, and what they came to."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from language_models.batch import answer_batches
from language_models.engines.openai_engine import OpenAIEngine
from language_models.inquiry import Counts
from language_models.judging import Question
from language_models.ledger import Ledger
from schemas.errors import AnswerError
from schemas.sections import Llm
from tests.support.prompts import make_prompt
from tests.support.simulator import Simulator

NIGHT = "2026-11-01"
PRICES = {"usd_per_million_input": 10.0, "usd_per_million_output": 20.0}


def make_llm(url: str, **settings: Any) -> Llm:
    """Fast polls, and prices that make costs visible."""
    base = {"engine": "openai", "mode": "batch", "model": "simulated", "base_url": url, "batch_poll_s": 0.03}
    return Llm.model_validate({**base, **PRICES, **settings})


def questions(count: int, start: int = 0, recipe: str = "rlmrec.item") -> Iterator[Question]:
    """Questions about books; an answer must be a JSON object with a summarization."""
    for number in range(start, start + count):
        yield Question(replace(make_prompt(f"b{number}"), recipe=recipe), has_summary)


def has_summary(text: str) -> None:
    try:
        json.loads(text)["summarization"]
    except (ValueError, KeyError, TypeError):
        raise AnswerError("schema", f"expected a summarization, found {text[:40]}") from None


def answer(file: Path | str, llm: Llm, count: int, checkpoint: Callable[[str], None] = lambda _: None) -> Counts:
    """One run in this process, as the command line does it."""
    with Ledger(file, NIGHT) as ledger:
        return answer_batches(partial(questions, count), OpenAIEngine(llm), ledger, llm, checkpoint=checkpoint)


class NotKilledError(AssertionError):
    """A run did not come to the checkpoint where it was to be killed."""


def answer_and_die(file: Path | str, llm: Llm, count: int, name: str, time: int = 1) -> None:
    """A run in a process of its own that is killed with kill -9 when it is at a checkpoint for the n-th time."""
    process = multiprocessing.get_context("fork").Process(target=_doomed, args=(file, llm, count, name, time))
    process.start()
    process.join(60)
    if process.exitcode != -signal.SIGKILL:
        process.kill()
        raise NotKilledError(f"{name}, {time}: expected kill -9, ended with {process.exitcode}")


def _doomed(file: Path | str, llm: Llm, count: int, name: str, time: int) -> None:
    seen: Counter[str] = Counter()

    def checkpoint(reached: str) -> None:
        seen[reached] += 1
        if reached == name and seen[name] == time:
            os.kill(os.getpid(), signal.SIGKILL)

    answer(file, llm, count, checkpoint)


def batches_at(sim: Simulator) -> list[dict[str, Any]]:
    """Every batch that the provider has, newest first."""
    found: list[dict[str, Any]] = []
    while True:
        after = f"&after={found[-1]['id']}" if found else ""
        page = sim.ask("GET", f"/v1/batches?limit=100{after}")
        found += page["data"]
        if not page["has_more"]:
            return found


def assert_all_answered(sim: Simulator, file: Path | str, llm: Llm, count: int) -> None:
    """Every row has a verdict, nothing was paid twice, and our books are the provider's."""
    stats = sim.stats()
    with Ledger(file, NIGHT) as ledger:
        engine = OpenAIEngine(llm)
        keys = {engine.key(question.prompt) for question in questions(count)}
        assert set(ledger.settled(keys)) == keys
        totals = ledger.totals()
        assert abs(totals.spent_usd - stats["cost_usd"]) < 1e-9, asdict(totals)
        assert (totals.reserved_usd, totals.possible_usd, totals.unknown) == (0.0, 0.0, 0)
        ours = {batch.id for batch in ledger.batches(open_only=False)}
        assert ledger.batches() == []
    assert stats["paid_twice"] == 0
    created = Counter(batch["metadata"]["loregraph_batch"] for batch in batches_at(sim))
    used = Counter(batch["input_file_id"] for batch in batches_at(sim))
    assert {id: times for id, times in created.items() if id in ours} == dict.fromkeys(ours, 1)
    assert set(used.values()) <= {1}
