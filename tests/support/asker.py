"""A process that asks an endpoint about made-up prompts, for tests that stop, kill or double it.

`python -m tests.support.asker LEDGER URL COUNT [LLM as JSON]` prints its counts as JSON.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from language_models.answering import answer_all
from language_models.engines import make_engine
from language_models.ledger import Ledger
from schemas.errors import LoregraphError
from schemas.sections import Llm
from tests.support.prompts import make_question


def main() -> None:
    where, url, count, *rest = sys.argv[1:]
    changes = json.loads(rest[0]) if rest else {}
    llm = Llm.model_validate({"engine": "openai", "model": "simulated", "base_url": url, "timeout_s": 5.0, **changes})
    with Ledger(where if "://" in where else Path(where)) as ledger:
        try:
            counts = answer_all([make_question(str(n)) for n in range(int(count))], make_engine(llm), ledger, llm)
        except LoregraphError as error:
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            sys.exit(error.exit_code)
    sys.stdout.write(json.dumps(asdict(counts)))


if __name__ == "__main__":
    main()
