"""What the LLM engine must show: `python -m benchmarks.llm_engine` measures R1 to R13, R16, R17 and the throughput.

Everything runs on this machine, against `loregraph simulate` in a process of its own, at no cost and without a key.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.llm_engine.figures import Figure, failing
from benchmarks.llm_engine.peers import ENVIRONMENT, set_up
from benchmarks.llm_engine.scenarios import SCENARIOS, Scenario
from schemas.errors import LoregraphError

DURATION = "All of it takes about an hour on 2 cores; --check under 5 minutes. Exit code 1 names what falls short."
FAILURES = (LoregraphError, subprocess.SubprocessError, AssertionError, OSError, KeyError, ValueError)


def main() -> None:
    """Measure what the command line names and print each figure; exit code 1 names what falls short."""
    given = _arguments()
    if given.command == "peers":
        _say(f"peers: {ENVIRONMENT}")
        set_up()
    chosen = _chosen("peers" if given.command else given.only, given.check)
    figures = [figure for scenario in chosen for figure in _measure(scenario, given)]
    short = failing(figures)
    if given.json:
        found = {"figures": list(map(asdict, figures)), "failing": list(map(asdict, short))}
        sys.stdout.write(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    _say(f"{len(figures)} figures, {len(short)} fall short{':' if short else ''}")
    for figure in short:
        _say(str(figure))
    sys.exit(1 if short else 0)


def _arguments() -> argparse.Namespace:
    known = sorted({name for scenario in SCENARIOS for name in scenario.requirements}, key=_order)
    parser = argparse.ArgumentParser("python -m benchmarks.llm_engine", description=__doc__, epilog=DURATION)
    parser.add_argument("command", nargs="?", choices=["peers"], help="set up the peers' environment and measure them")
    parser.add_argument("--check", action="store_true", help="the short forms")
    parser.add_argument("--only", help=f"comma-separated: {', '.join(known)}", type=lambda text: _known(text, known))
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a line per figure")
    parser.add_argument("--keep", action="store_true", help="keep the folders with ledgers and tables")
    return parser.parse_args()


def _known(text: str, known: Sequence[str]) -> str:
    if unknown := set(text.split(",")) - set(known):
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: expected some of {', '.join(known)}")
    return text


def _order(name: str) -> tuple[int, str]:
    return (int(name[1:]), "") if name[1:].isdigit() else (1000, name)


def _chosen(only: str | None, check: bool) -> list[Scenario]:
    wanted = set(only.split(",")) if only else None
    chosen = [scenario for scenario in SCENARIOS if wanted is None or wanted & set(scenario.requirements)]
    return [scenario for scenario in chosen if not check or scenario.check is not None]


def _measure(scenario: Scenario, given: argparse.Namespace) -> list[Figure]:
    """The figures of a scenario, printed as they come; one that breaks off is a figure that falls short."""
    folder, began = Path(tempfile.mkdtemp(prefix=f"loregraph-{scenario.name.replace(' ', '-')}-")), time.monotonic()
    requirements = ", ".join(scenario.requirements)
    _say(f"{scenario.name} ({requirements}) ...")
    run = scenario.check if given.check and scenario.check is not None else scenario.full
    try:
        figures = run(folder)
    except FAILURES as error:
        broke = f"broke off: {type(error).__name__}: {error}"
        figures = [Figure(scenario.requirements[0], scenario.name, broke, "figures", passed=False)]
    finally:
        if given.keep:
            _say(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    if not given.json:
        sys.stdout.writelines(f"{figure}\n" for figure in figures)
        sys.stdout.flush()
    _say(f"{scenario.name}: {time.monotonic() - began:.0f} s")
    return figures


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
