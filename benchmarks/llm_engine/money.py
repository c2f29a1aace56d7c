"""R4 to R7, R16: one payment per distinct key, only for what changed, priced before the first call, within the cap."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from benchmarks.figures import Figure, at_least, at_most, exactly
from benchmarks.llm_engine.worker import RECIPE, books, settings
from features.generation import questions, read_all
from features.planning import plan
from features.recipes.base import Recipe
from features.recipes.rlmrec_item import RlmrecItem
from language_models.answering import answer_all
from language_models.engines import make_engine
from language_models.inquiry import Counts
from language_models.ledger import Ledger
from language_models.simulator.process import simulator
from schemas.errors import BudgetError
from schemas.records import Subject
from schemas.sections import Llm

PRICES = {"usd_per_million_input": 1.0, "usd_per_million_output": 4.0}
CHARGED = ("--price-input", "1.0", "--price-output", "4.0")


def two_workers(folder: Path, rows: int) -> list[Figure]:
    """R4: two processes on one ledger, asked for the same rows at the same moment."""
    folder.mkdir(parents=True, exist_ok=True)
    with simulator("--answers", "brief", "--latency", "0.02") as endpoint:
        module = "benchmarks.llm_engine.worker"
        command = [sys.executable, "-m", module, str(folder / "ledger.sqlite"), endpoint.url, str(rows)]
        workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        asked = [json.loads(worker.communicate()[0])["asked"] for worker in workers]
        stats = endpoint.stats()
    return [
        exactly("R4", f"calls by two workers for {rows:,} rows ({asked[0]:,} + {asked[1]:,})", stats["requests"], rows),
        exactly("R4", "calls sent by both", stats["paid_twice"], 0),
    ]


def duplicates(folder: Path, rows: int) -> list[Figure]:
    """R5: a tenth of the prompts are equal to others."""
    distinct = rows - rows // 10
    with simulator("--answers", "brief") as endpoint:
        _ask(folder, books(rows, distinct), settings(endpoint.url, concurrency=64))
        stats = endpoint.stats()
    return [exactly("R5", f"calls for {rows:,} prompts with {distinct:,} distinct keys", stats["requests"], distinct)]


def nights(folder: Path, rows: int) -> list[Figure]:
    """R6: what the second to fifth night asks, and how near the plan came before the first call of each."""

    class Reworded(RlmrecItem):
        version = "2"

        def system(self) -> str:
            return super().system() + "\n5. Be brief."

    reworded = Reworded(noun="book")
    changed = [
        replace(book, attributes={**book.attributes, "title": f"{book.attributes['title']}, revised"})
        if int(book.id) % 100 == 0
        else book
        for book in books(rows)
    ]
    figures: list[Figure] = []
    with simulator("--answers", "offline") as endpoint:
        llm = settings(endpoint.url, concurrency=64, **PRICES)
        bumped = llm.model_copy(update={"model": "simulated-2"})

        def night(name: str, recipe: Recipe, subjects: list[Subject], llm: Llm, share: float) -> None:
            engine = make_engine(llm)
            with Ledger(folder / "ledger.sqlite", name) as ledger:
                planned = plan(recipe, subjects, engine, ledger, llm)
                counts = answer_all(questions(recipe, subjects, engine), engine, ledger, llm)
            figures.append(exactly("R6", f"{name}: calls", counts.asked, round(share * rows)))
            if counts.asked:
                ratio = planned.input_tokens / counts.input_tokens
                figures.append(at_least("R6", f"{name}: planned input tokens / real ones", ratio, 0.9))
                figures.append(at_most("R6", f"{name}: planned input tokens / real ones", ratio, 1.1))

        night("first night", RECIPE, list(books(rows)), llm, 1.0)
        night("1 % of the texts changed", RECIPE, changed, llm, 0.01)
        night("nothing changed", RECIPE, changed, llm, 0.0)
        night("prompt changed", reworded, changed, llm, 1.0)
        night("model changed", reworded, changed, bumped, 1.0)
    return figures


def cap(folder: Path, rows: int, share: float = 0.5, concurrency: int = 256) -> list[Figure]:
    """R7: a cap that is reached with many calls in flight, at an endpoint that charges what it serves."""
    with simulator("--answers", "offline", "--latency", "0.05", "--latency-spread", "0.5", *CHARGED) as endpoint:
        whole = _ask(folder / "whole", books(rows // 10), settings(endpoint.url, concurrency=64, **PRICES))
        most = whole.cost_usd * 10 * share
        endpoint.reset()
        llm = settings(endpoint.url, concurrency=concurrency, max_cost_usd=most, max_output_tokens=200, **PRICES)
        stopped = _stops(lambda: _ask(folder / "capped", books(rows), llm))
        spent = endpoint.stats()["cost_usd"]
    return [
        exactly("R7", f"stopped by the cap of ${most:.3f} at {concurrency} in flight", stopped, True),
        at_most("R7", "charged by the endpoint / cap", spent / most, 1.0),
        at_least("R7", "charged by the endpoint / cap", spent / most, 0.97),
    ]


def reparse(folder: Path, rows: int) -> list[Figure]:
    """R16: answers that an older parser refused are read from the ledger by a newer one."""

    class Strict(RlmrecItem):
        words = {"summarization": 1, "reasoning": 1}  # noqa: RUF012

    with simulator("--answers", "offline") as endpoint:
        llm = settings(endpoint.url, concurrency=64)
        engine = make_engine(llm)
        with Ledger(folder / "ledger.sqlite") as ledger:
            strict = Strict(noun="book")
            answer_all(questions(strict, books(rows), engine), engine, ledger, llm)
            refused = len(read_all(strict, books(rows), engine, ledger).rejects)
            before = endpoint.stats()["requests"]
            now = read_all(RECIPE, books(rows), engine, ledger)
            calls = endpoint.stats()["requests"] - before
    return [
        exactly("R16", f"calls to read {refused:,} refused answers of {rows:,} with a new parser", calls, 0),
        exactly("R16", "answers that can be read now", len({row.key for row in now.rows}), rows),
    ]


def _ask(folder: Path, subjects: Iterable[Subject], llm: Llm) -> Counts:
    engine = make_engine(llm)
    with Ledger(folder / "ledger.sqlite") as ledger:
        return answer_all(questions(RECIPE, subjects, engine), engine, ledger, llm)


def _stops(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except BudgetError:
        return True
    return False
