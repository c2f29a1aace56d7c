"""The machine: Java, GPU, disk and clock."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from pipelines.starting.check import Check

JAVA = (17, 21)  # what Spark 4 runs on, at least and as tested
LITTLE, TOO_LITTLE = 5 * 2**30, 2**28  # bytes free
FIRST_YEAR = 2026  # this program was not there before


def check_java(needed: bool) -> Check:
    """Needed by Spark alone."""
    program = Path(os.environ["JAVA_HOME"]) / "bin" / "java" if os.environ.get("JAVA_HOME") else shutil.which("java")
    state = "fail" if needed else "ok"
    if program is None or not Path(program).exists():
        step = f"install Java {JAVA[0]} (a JDK or JRE), or set JAVA_HOME" if needed else ""
        return Check("java", state, "not found" + ("" if needed else ", which only Spark needs"), step)  # type: ignore[arg-type]
    try:
        done = subprocess.run([str(program), "-version"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check("java", "fail" if needed else "warn", f"{program}: {error}", f"install Java {JAVA[0]}")
    said = re.search(r'version "(?:1\.)?(\d+)', done.stderr + done.stdout)
    version = int(said[1]) if said else 0
    if version < JAVA[0]:
        step = f"Spark needs Java {JAVA[0]} or newer; install it, or point JAVA_HOME to it"
        return Check("java", "fail" if needed else "warn", f"{program}: version {version or 'unknown'}", step)
    return Check("java", "ok", f"{version} at {program}")


def check_gpu(wanted: str = "auto") -> Check:
    """What PyTorch sees; it is not imported where it is not installed. `wanted`: as `device` of a run file."""
    if find_spec("torch") is None:
        return Check("gpu", "ok", "PyTorch is not installed, so none is used")
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        free, total = torch.cuda.mem_get_info()
        memory = f"{free / 2**30:.1f} of {total / 2**30:.1f} GiB free on the first"
        return Check("gpu", "ok", f"{', '.join(names)}; {memory}; PyTorch {torch.__version__}")
    if wanted.startswith("cuda"):
        step = 'set device = "auto" in the run file, or install the driver and a PyTorch build with CUDA'
        return Check("gpu", "fail", f"device = {wanted}, and PyTorch {torch.__version__} finds none", step)
    return Check(
        "gpu", "ok", f"none: models are trained on the CPU ({os.cpu_count()} cores); PyTorch {torch.__version__}"
    )


def check_disk(name: str, folder: Path) -> Check:
    """Room and the right to write in a folder, or in the nearest one above it that is there."""
    there = next(each for each in (folder, *folder.parents) if each.exists())
    where = str(folder) if there == folder else f"{folder} (not there yet, {there} is)"
    if not there.is_dir():
        return Check(name, "fail", f"{there}: is a file", "name another folder")
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"?")
    except OSError as error:
        return Check(
            name, "fail", f"{where}: {error.strerror}", "make it writable, or choose another with --lake or `work`"
        )
    free = shutil.disk_usage(there).free
    found = f"{where}: can be written, {free / 2**30:.1f} GiB free"
    if free < LITTLE:
        state = "fail" if free < TOO_LITTLE else "warn"
        return Check(name, state, found, "free some room; `loregraph vacuum` deletes old versions of tables")  # type: ignore[arg-type]
    return Check(name, "ok", found)


def check_clock(elsewhere: datetime | None = None, now: datetime | None = None) -> Check:
    """The clock says which night it is. `elsewhere`: what an endpoint's answer says the time is."""
    now = now or datetime.now(UTC)
    found = now.strftime("%Y-%m-%d %H:%M:%S UTC")
    step = "set the clock: events after it do not exist for a night"
    if now.year < FIRST_YEAR:
        return Check("clock", "fail", found, step)
    if elsewhere is not None and abs((now - elsewhere).total_seconds()) > 300:
        return Check("clock", "warn", f"{found}, and the endpoint says {elsewhere:%Y-%m-%d %H:%M:%S UTC}", step)
    return Check("clock", "ok", found)
