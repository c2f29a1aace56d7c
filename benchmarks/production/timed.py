"""One `loregraph` command in this process; the last line of stdout tells its seconds, CPU seconds and peak memory.

`python -m benchmarks.production.timed STEP --run FILE ...`. The peak is VmHWM (Linux): what `getrusage` reports of a
child begins with the memory of the process that has started it.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

STATUS = Path("/proc/self/status")


def main() -> None:
    """Exits as the command does where it fails."""
    began = time.monotonic()
    from pipelines.cli import app

    app(sys.argv[1:], standalone_mode=False)
    mine, others = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    told = {
        "seconds": round(time.monotonic() - began, 3),
        "cpu_s": round(mine.ru_utime + mine.ru_stime + others.ru_utime + others.ru_stime, 3),
        "peak_mb": peak_mb(),
    }
    sys.stdout.write(f"{json.dumps(told)}\n")


def peak_mb() -> float:
    """Largest resident memory of this process so far, in MB (10^6 bytes)."""
    line = next(line for line in STATUS.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e6


if __name__ == "__main__":
    main()
