"""bespokelabs-curator beside our engine, in an environment of its own: `python -m benchmarks.llm_engine peers`.

The command makes `.venv-peers` from `requirements.txt` by pip where it is missing, and measures. Without it, the other
forms of the benchmark leave curator out and say so.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.llm_engine.child import run_json
from benchmarks.llm_engine.clients import ROOM
from benchmarks.llm_engine.figures import Figure, at_least, stated
from benchmarks.llm_engine.speed import SHOWN, SOON, described, measure, ratio
from benchmarks.llm_engine.worker import MODEL, RECIPE, books
from language_models.simulator.process import Simulator
from schemas.errors import LoregraphError

HERE = Path(__file__).parent
ENVIRONMENT = HERE.parents[2] / ".venv-peers"
PYTHON = ENVIRONMENT / "bin" / "python"
DONE = ENVIRONMENT / "installed.txt"  # the requirements that it was made from
SETUP = "python -m benchmarks.llm_engine peers"


def set_up() -> None:
    """Make the peers' environment, unless it stands. Raises LoregraphError with pip's message where that fails."""
    wanted = (HERE / "requirements.txt").read_text(encoding="utf-8")
    if is_set_up():
        return
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)],
        [str(PYTHON), "-m", "pip", "install", "--quiet", "-r", str(HERE / "requirements.txt")],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise LoregraphError(f"{' '.join(command)}: {done.stderr.strip()[-500:]}")
    (ENVIRONMENT / ".gitignore").write_text("*\n", encoding="utf-8")
    DONE.write_text(wanted, encoding="utf-8")


def is_set_up() -> bool:
    """Whether the environment stands and is the one that the requirements ask for."""
    wanted = (HERE / "requirements.txt").read_text(encoding="utf-8")
    return DONE.exists() and DONE.read_text(encoding="utf-8") == wanted


def against_curator(folder: Path, waves: int, rounds: int) -> list[Figure]:
    """Throughput of ours over curator's, paired at 64 and 256 in flight; skipped where it cannot run."""
    if not is_set_up():
        return [stated("throughput", "bespokelabs-curator", f"skipped: not installed; run {SETUP}")]
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
    command = [str(PYTHON), str(HERE / "curator_client.py"), str(prompts), endpoint.url, str(concurrency), str(folder)]
    return run_json(command, HOME=str(folder), HF_HOME=str(folder / "hf"))
