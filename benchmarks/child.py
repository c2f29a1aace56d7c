"""Child processes of the benchmarks: what they print, and the CPU time that they have used."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from schemas.errors import LoregraphError

TAIL = 2000  # characters of a child's stderr that an error shows


def run_json(command: Sequence[str], **environment: str) -> dict[str, Any]:
    """The last line of a process's stdout, read as JSON. Raises LoregraphError with the end of its stderr."""
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, check=False)
    if done.returncode:
        raise LoregraphError(f"{' '.join(command)}: exit code {done.returncode}: {done.stderr[-TAIL:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of a running process (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
