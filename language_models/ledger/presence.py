"""Who is alive on this machine, and whose turn it is: locked files, which the system unlocks when a process ends."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

POLL_S = 0.001


class Presence:
    """The file of one worker in a folder of them; a file that nobody has locked belongs to a worker that is dead."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self._file: int | None = None

    def join(self) -> None:
        """Be alive until `leave`, or until the process ends. Raises OSError where the folder cannot be written to."""
        while self._file is None:
            self.folder.mkdir(exist_ok=True)
            file = os.open(self.folder / self.name, os.O_CREAT | os.O_RDWR, 0o644)
            fcntl.flock(file, fcntl.LOCK_EX)
            if self._is(file):
                self._file = file
            else:  # tidied away before it was locked
                os.close(file)

    def alive(self, name: str) -> bool:
        """Whether a worker lives, we included."""
        with self._locked(name, fcntl.LOCK_SH) as dead:  # shared: two that look do not see each other
            return not dead

    def tidy(self, keep: set[str]) -> None:
        """Remove the files of dead workers."""
        for path in self.folder.glob("worker-*"):
            if path.name not in keep:
                with self._locked(path.name, fcntl.LOCK_EX) as dead:
                    if dead:
                        path.unlink(missing_ok=True)

    def leave(self) -> None:
        if self._file is not None:
            (self.folder / self.name).unlink(missing_ok=True)
            os.close(self._file)
            self._file = None

    @contextmanager
    def _locked(self, name: str, kind: int) -> Iterator[bool]:
        """Whether a worker's file could be locked, and so is nobody's."""
        try:
            file = os.open(self.folder / name, os.O_RDONLY)
        except FileNotFoundError:
            yield True
            return
        try:
            yield _lock(file, kind)
        finally:
            os.close(file)

    def _is(self, file: int) -> bool:
        """Whether the open file is still the one of that name."""
        try:
            return os.path.samestat(os.fstat(file), (self.folder / self.name).stat())
        except FileNotFoundError:
            return False


class Queue:
    """Whoever wants to write stands at the head of the queue first, so that a busy worker cannot starve the others."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None

    @contextmanager
    def head(self, patience_s: float) -> Iterator[None]:
        """Wait for the head, and hold it inside. Raises TimeoutError when another process does not leave it."""
        if self._file is None:
            self.path.parent.mkdir(exist_ok=True)
            self._file = os.open(self.path, os.O_CREAT | os.O_RDWR, 0o644)
        until = time.monotonic() + patience_s
        while not _lock(self._file, fcntl.LOCK_EX):
            if time.monotonic() > until:
                raise TimeoutError("locked by another process")
            time.sleep(POLL_S)
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _lock(file: int, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
