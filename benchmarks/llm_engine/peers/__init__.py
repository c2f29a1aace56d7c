"""bespokelabs-curator beside our engine, in an environment of its own: `python -m benchmarks.llm_engine peers`.

The command makes `.venv-peers` from `requirements.txt` by pip where it is missing, and measures. Without it, the other
forms of the benchmark leave curator out and say so.
"""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.child import run_json
from benchmarks.environment import ROOT, Environment
from benchmarks.figures import Figure, at_least, stated
from benchmarks.llm_engine.clients import ROOM
from benchmarks.llm_engine.speed import SHOWN, SOON, described, measure, ratio
from benchmarks.llm_engine.worker import MODEL, RECIPE, books
from language_models.simulator.process import Simulator
from schemas.errors import LoregraphError

HERE = Path(__file__).parent
PEERS = Environment(ROOT / ".venv-peers", HERE / "requirements.txt", "python -m benchmarks.llm_engine peers")


def against_curator(folder: Path, waves: int, rounds: int) -> list[Figure]:
    """Throughput of ours over curator's, paired at 64 and 256 in flight; skipped where it cannot run."""
    if not PEERS.is_set_up:
        return [stated("throughput", "bespokelabs-curator", PEERS.missing)]
    try:
        return [figure for concurrency in SOON for figure in _compared(folder, waves, concurrency, rounds)]
    except LoregraphError as error:
        return [stated("throughput", "bespokelabs-curator", f"skipped: it does not run here: {error}")]


def _compared(folder: Path, waves: int, concurrency: int, rounds: int) -> list[Figure]:
    latency = SOON[concurrency]
    others = {"curator": _curator}
    results = measure(folder / f"{concurrency}", ("ours",), waves, concurrency, latency, rounds, others)
    where = f"{concurrency} in flight, {1000 * latency:g} ms"
    return [
        *(stated("throughput", f"{SHOWN[name]}, paired, {where}", described(results, name)) for name in results),
        at_least("throughput", f"ours / bespokelabs-curator, {where}", ratio(results, "ours", "curator"), 3.0),
    ]


def _curator(endpoint: Simulator, rows: int, concurrency: int, folder: Path) -> dict[str, float]:
    folder.mkdir(parents=True, exist_ok=True)
    prompts = folder / "prompts.jsonl"
    with prompts.open("w", encoding="utf-8") as file:
        for book in books(rows):
            asked = {"model": MODEL, "messages": RECIPE.ask(book).messages(), "max_completion_tokens": ROOM}
            file.write(json.dumps(asked) + "\n")
    command = [
        str(PEERS.python),
        str(HERE / "curator_client.py"),
        str(prompts),
        endpoint.url,
        str(concurrency),
        str(folder),
    ]
    return run_json(command, HOME=str(folder), HF_HOME=str(folder / "hf"))
