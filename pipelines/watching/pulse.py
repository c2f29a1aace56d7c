"""A sign of life of every step that runs: which process, since when, how far; renewed every second, gone at its end.

A step that was killed leaves its last sign, which nobody renews: so whoever looks can tell it from one that works.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipelines.progress import Progress

FOLDER = "running"  # in the night's folder, a file for each part of a step
EVERY_S = 1.0
LOST_AFTER_S = 12.0  # without a sign: longer than a machine that swaps holds its breath
MISSED_S = 3.0  # without a sign, and its process is gone


@dataclass(frozen=True)
class Sign:
    """The last sign of a part of a step. Times are unix seconds of the host that gave it."""

    step: str
    part: str
    attempt: int
    pid: int
    host: str
    began: float
    at: float
    label: str | None = None  # of what is going on within the step
    done: int = 0
    total: int | None = None
    note: str = ""
    since: float | None = None  # when that began

    def lives(self, now: float) -> bool:
        """Whether its process is at work: it was heard of lately, or may still be about to say something."""
        silent = now - self.at
        gone = self.host == socket.gethostname() and not _is_there(self.pid)
        return silent < (MISSED_S if gone else LOST_AFTER_S)

    def seconds_left(self) -> float | None:
        """At the speed so far; None where the whole is not known, or too little is done to say."""
        if not self.total or self.since is None or self.done < 2 or self.done > self.total:
            return None
        return (self.at - self.since) * (self.total - self.done) / self.done


@contextmanager
def beating(folder: Path, step: str, part: str, attempt: int, progress: Progress) -> Iterator[None]:
    """While the block runs, say so in the night's folder. What cannot be written is left out: the night goes on."""
    file, began, over = folder / FOLDER / f"{part}.json", time.time(), threading.Event()

    def beat() -> None:
        while True:
            with suppress(OSError):
                _write(file, _sign(step, part, attempt, began, progress))
            if over.wait(EVERY_S):
                return

    thread = threading.Thread(target=beat, name=f"pulse of {part}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        with suppress(OSError):
            file.unlink()


def signs(folder: Path) -> list[Sign]:
    """The last signs of all that runs in a night's folder, or was killed there, in the order of their beginning."""
    found = [_read(file) for file in (folder / FOLDER).glob("*.json")]
    return sorted((each for each in found if each is not None), key=lambda each: each.began)


def _sign(step: str, part: str, attempt: int, began: float, progress: Progress) -> Sign:
    about = Sign(step, part, attempt, os.getpid(), socket.gethostname(), began, time.time())
    if (now := progress.now) is None:
        return about
    inside = {"label": now.label, "done": now.done, "total": now.total, "note": now.note, "since": now.began}
    return Sign(**{**asdict(about), **inside})


def _write(file: Path, sign: Sign) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(asdict(sign), ensure_ascii=False), encoding="utf-8")
    partial.replace(file)


def _read(file: Path) -> Sign | None:
    """None where the step has ended meanwhile, or another version has written something else."""
    try:
        told: dict[str, Any] = json.loads(file.read_bytes())
        return Sign(**told)
    except (FileNotFoundError, ValueError, TypeError):
        return None


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
