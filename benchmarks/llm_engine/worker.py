"""One worker that asks about made-up books at an endpoint, as a process that a benchmark may kill.

`python -m benchmarks.llm_engine.worker LEDGER URL ROWS` prints its counts, seconds, CPU seconds and peak memory
as one line of JSON when it is done.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from features.generation import questions
from features.recipes import make_recipe
from language_models.answering import answer_all
from language_models.engines import make_engine
from language_models.judging import Question
from language_models.ledger import Ledger
from language_models.protocols import ChatEngine
from schemas.errors import LoregraphError
from schemas.records import Prompt, Subject
from schemas.sections import Llm

RECIPE = make_recipe("rlmrec.item", {"noun": "book"})
SUBJECTS = ("Gothic horror", "sea adventure", "domestic comedy", "colonial history", "early science fiction")
MODEL = "simulated"


def books(rows: int, distinct: int | None = None) -> Iterator[Subject]:
    """`rows` items of `distinct` different descriptions; the first `distinct` ones differ, then they come again."""
    for row in range(rows):
        number = row % (distinct or rows)
        yield Subject(
            "item",
            str(row),
            {
                "title": f"The Voyage of Number {number}",
                "author": f"Author {number % 97}, {1800 + number % 120}-",
                "subjects": "; ".join(SUBJECTS[(number + step) % len(SUBJECTS)] for step in range(3)),
                "description": f"A true account of journey {number}, with remarks on the weather and the company.",
            },
        )


def ready(rows: int, short: bool = False) -> Iterator[Question]:
    """Questions that cost next to nothing to make: one instruction (the recipe's, or a line) and a short text each."""
    first = RECIPE.ask(next(books(1)))
    schema = {"type": "object", "properties": {"note": {"type": "string"}}} if short else first.answer_schema
    system = "Answer with a JSON object." if short else first.system
    for row in range(rows):
        text = f'{{"title": "The Voyage of Number {row}", "author": "Author {row % 97}"}}'
        yield Question(Prompt("ready", "1", "item", str(row), system, text, schema), json.loads)


def asked(kind: str, rows: int, distinct: int | None, engine: ChatEngine) -> Iterator[Question]:
    """The questions of a kind: `recipe`, `ready` or `short`."""
    return questions(RECIPE, books(rows, distinct), engine) if kind == "recipe" else ready(rows, kind == "short")


def settings(url: str, **changes: object) -> Llm:
    """The worker's `[llm]` section."""
    return Llm.model_validate({"engine": "openai", "model": MODEL, "base_url": url, "timeout_s": 5.0, **changes})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ledger")
    parser.add_argument("url")
    parser.add_argument("rows", type=int)
    parser.add_argument("--distinct", type=int)
    parser.add_argument("--questions", choices=("recipe", "ready", "short"), default="recipe")
    parser.add_argument("--llm", default="{}", help="further keys of [llm], as JSON")
    given = parser.parse_args()
    llm = settings(given.url, **json.loads(given.llm))
    engine = make_engine(llm)
    where = given.ledger if "://" in given.ledger else Path(given.ledger)
    with Ledger(where) as ledger:
        began, cpu = time.perf_counter(), time.process_time()
        try:
            counts = answer_all(asked(given.questions, given.rows, given.distinct, engine), engine, ledger, llm)
        except LoregraphError as error:
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            sys.exit(error.exit_code)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    times = {"seconds": time.perf_counter() - began, "cpu_s": time.process_time() - cpu}
    sys.stdout.write(json.dumps(asdict(counts) | times | {"peak_mb": peak_mb}) + "\n")


if __name__ == "__main__":
    main()
