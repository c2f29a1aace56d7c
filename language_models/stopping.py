"""SIGTERM and Ctrl-C as a request: send nothing more, let what is in flight come back, then stop."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from schemas.errors import StopError

SIGNALS = (signal.SIGTERM, signal.SIGINT)
AGAIN_S = 0.2  # after which a signal is given again whose error has got lost


@contextmanager
def stop_requests() -> Iterator[threading.Event]:
    """An event that the first SIGTERM or Ctrl-C sets while the block runs; a second one interrupts at once.

    Python hands signals to the main thread only: in any other thread the event stays unset.
    """
    stop = threading.Event()

    def request(_number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    with _handled_by(request):
        yield stop


@contextmanager
def stopped_at_once(stop: threading.Event) -> Iterator[None]:
    """Break the block off at the first SIGTERM or Ctrl-C: it sets `stop` and raises StopError.

    For work that costs time alone and is done again from where it was. In any thread but the main one nothing changes.
    """
    again: list[threading.Timer] = []

    def request(number: int, _frame: FrameType | None) -> None:
        stop.set()
        again.append(threading.Timer(AGAIN_S, os.kill, (os.getpid(), number)))  # Python drops what a finaliser raises
        again[-1].start()
        raise StopError("stopped by a signal; the same command goes on from there")

    with _handled_by(request):
        try:
            yield
        finally:
            for timer in again:
                timer.cancel()


@contextmanager
def _handled_by(request: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, request) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
