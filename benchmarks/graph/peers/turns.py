"""A process that takes turns: it prints one line of JSON when it is ready, then one for each task that it is told.

Of the standard library alone: the peers' interpreters run it as well.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def serve(prepare: Callable[[], tuple[Mapping[str, Callable[[], Any]], Mapping[str, Any]]]) -> None:
    """Make tasks and what is to be said of them, say it, then do each task that a line of stdin names.

    A task may return facts, which are told beside wall seconds, CPU seconds and the peak of resident memory so far.
    What libraries print goes to stderr.
    """
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    tasks, facts = prepare()
    _tell(out, {**facts, "peak_mb": peak_mb()})
    for line in sys.stdin:
        began, cpu = time.perf_counter(), time.process_time()
        told = tasks[line.strip()]()
        spent = {"seconds": time.perf_counter() - began, "cpu_s": time.process_time() - cpu}
        _tell(out, {**(told or {}), **spent, "peak_mb": peak_mb()})


def _tell(out: Any, facts: Mapping[str, Any]) -> None:
    out.write(json.dumps(facts) + "\n")
    out.flush()


def peak_mb() -> float:
    """Peak of resident memory in MB (Linux); that of getrusage would begin with what the parent had when it forked."""
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6
