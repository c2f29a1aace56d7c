"""R3, R17: requirements that whole test files show, run by pytest in a process of its own and counted."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.figures import Figure

ROOT = Path(__file__).resolve().parents[2]
TESTS = Path("tests/language_models")
BATCH = TESTS / "batch"
RANDOM = (TESTS / "ledger" / "test_ledger_machine.py", TESTS / "test_scheduler.py")
SHORT = "killed or custom_id or error_file or finished_ones_are_kept"  # the tests of R3's four promises


def batch_crashes(quick: bool) -> list[Figure]:
    """R3: a kill at each named point of the batch mode; rows joined by id, kept where a batch expires."""
    what = "tests of batch mode, killed at every named point"
    return [_suite("R3", what, [BATCH], SHORT if quick else "", quick)]


def stateful(quick: bool) -> list[Figure]:
    """R17: hypothesis drives ledger and scheduler through random orders of events over a simulated clock."""
    what = "random orders of events for the ledger and the scheduler" + ("" if quick else ", the long tests as well")
    return [_suite("R17", what, RANDOM, "", quick)]


def _suite(requirement: str, what: str, paths: Sequence[Path], keyword: str, quick: bool) -> Figure:
    options = ["-q", "-p", "no:cacheprovider", "-k", keyword, "-m", "not slow" if quick else ""]
    command = [sys.executable, "-m", "pytest", *options, *map(str, paths)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ, check=False)
    lines = done.stdout.strip().splitlines()
    last = re.sub(r"^=+|=+$", "", lines[-1]).strip() if lines else done.stderr.strip()[-200:]
    passed = int(found[1]) if (found := re.search(r"(\d+) passed", last)) else 0
    ok = done.returncode == 0 and passed > 0
    failed = [line.split(" ")[1] for line in lines if line.startswith("FAILED")]
    return Figure(requirement, what, "; ".join([last, *failed]), "all passed, one at least", ok)
