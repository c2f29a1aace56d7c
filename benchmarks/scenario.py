"""A measurement by name, and the command that runs some: figures, JSON, and exit code 1 for what falls short."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.environment import Environment
from benchmarks.figures import Figure, failing
from schemas.errors import LoregraphError

FAILURES = (LoregraphError, subprocess.SubprocessError, AssertionError, OSError, KeyError, ValueError)
Measure = Callable[[Path], list[Figure]]


@dataclass(frozen=True)
class Scenario:
    """One measurement, given an empty folder; `check` is its short form, None where it has none."""

    name: str
    requirements: tuple[str, ...]  # what `--only` calls it by; `peers`: it needs their environment
    full: Measure
    check: Measure | None


def command_line(
    name: str, about: str | None, duration: str, scenarios: Sequence[Scenario], has_peers: bool = True
) -> argparse.ArgumentParser:
    """The options that every such command has; `about` is its module docstring."""
    known = sorted({each for scenario in scenarios for each in scenario.requirements}, key=_order)
    parser = argparse.ArgumentParser(f"python -m {name}", description=about, epilog=duration)
    if has_peers:
        about_peers = "set up the peers' environment and measure them"
        parser.add_argument("command", nargs="?", choices=["peers"], help=about_peers)
    parser.add_argument("--check", action="store_true", help="the short forms")
    parser.add_argument("--only", help=f"comma-separated: {', '.join(known)}", type=lambda text: _known(text, known))
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a line per figure")
    parser.add_argument("--keep", action="store_true", help="keep the folders with what was made")
    return parser


def perform(given: argparse.Namespace, scenarios: Sequence[Scenario], peers: Environment | None) -> None:
    """Measure what the command line names and print each figure; exit code 1 names what falls short."""
    for_peers = peers is not None and given.command == "peers"
    if peers is not None and for_peers:
        _say(f"peers: {peers.folder}")
        peers.set_up()
    chosen = _chosen(scenarios, "peers" if for_peers else given.only, given.check)
    figures = [figure for scenario in chosen for figure in _measure(scenario, given)]
    short = failing(figures)
    if given.json:
        found = {"figures": list(map(asdict, figures)), "failing": list(map(asdict, short))}
        sys.stdout.write(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    _say(f"{len(figures)} figures, {len(short)} fall short{':' if short else ''}")
    for figure in short:
        _say(str(figure))
    sys.exit(1 if short else 0)


def _known(text: str, known: Sequence[str]) -> str:
    if unknown := set(text.split(",")) - set(known):
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: expected some of {', '.join(known)}")
    return text


def _order(name: str) -> tuple[int, str]:
    return (int(name[1:]), "") if name[1:].isdigit() else (1000, name)


def _chosen(scenarios: Sequence[Scenario], only: str | None, check: bool) -> list[Scenario]:
    wanted = set(only.split(",")) if only else None
    chosen = [scenario for scenario in scenarios if wanted is None or wanted & set(scenario.requirements)]
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
