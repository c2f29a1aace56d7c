"""How much memory a piece of work has taken at its peak, beside what the process had before."""

from __future__ import annotations

import ctypes
import gc
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

CLEAR_PEAK = "5"  # written to clear_refs: VmHWM starts again from what is resident now
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Peak:
    """`mib` is known when the block has ended."""

    mib: float = 0.0


@contextmanager
def measured() -> Iterator[Peak]:
    """Measure the block: the peak of resident memory on Linux; elsewhere by how much the process has ever grown.

    What earlier work has freed is given back first, as far as the allocator does that: else it would be used unseen.
    """
    before, peak = _restart(), Peak()
    yield peak
    peak.mib = round(max(0.0, peak_mib() - before), 1)


def _restart() -> float:
    gc.collect()
    with suppress(AttributeError, OSError, TypeError):  # only glibc has it
        ctypes.CDLL(None).malloc_trim(0)
    return _status("VmRSS") if restart_peak() else peak_mib()  # else the highest so far is what it is measured from


def restart_peak() -> bool:
    """Have the peak start again from what is resident now; false where there is no Linux, or it is not allowed."""
    try:
        CLEAR.write_text(CLEAR_PEAK)
    except OSError:
        return False
    return True


def peak_mib() -> float:
    """The most resident memory since `restart_peak`, MiB; elsewhere than on Linux since the process began."""
    if STATUS.exists():
        return _status("VmHWM")
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 2**20 if sys.platform == "darwin" else most / 2**10


def _status(field: str) -> float:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) / 2**10
