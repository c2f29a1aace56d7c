"""Calls over a network: this thread looks up and judges, a second runs the event loop, a third commits to the ledger.

An answer goes endpoint -> ledger commit -> judgement.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

from language_models.answering import CHUNK, Progress, stopped
from language_models.inquiry import Inquiry
from language_models.judging import Question
from language_models.ledger import Call
from language_models.ledger.writer import Writer
from language_models.line import Line, open_line
from language_models.protocols import OnlineEngine
from schemas.chunks import chunks
from schemas.errors import EngineError
from schemas.records import Completion

LOOK_S = 0.2  # between looks at progress and stop requests
JUDGED = 128  # verdicts per request to the writer


def ask_online(
    questions: Iterable[Question],
    inquiry: Inquiry,
    engine: OnlineEngine,
    stop: threading.Event,
    progress: Progress | None,
) -> None:
    """Have the questions answered at an endpoint; see `answer_all` for what is promised and raised."""
    writer = Writer(inquiry.ledger)
    try:
        with open_line(engine, inquiry, writer) as line:
            _Dialogue(inquiry, line, writer, stop, progress).hold(questions)
    finally:
        writer.close()


class _Dialogue:
    """The caller's side: feeds calls to the line, and judges what comes back from it."""

    def __init__(
        self, inquiry: Inquiry, line: Line, writer: Writer, stop: threading.Event, progress: Progress | None
    ) -> None:
        self.inquiry, self.line, self.writer, self.stop, self.progress = inquiry, line, writer, stop, progress
        self.most_open = max(4 * inquiry.llm.concurrency, CHUNK)
        self.reported = 0.0

    def hold(self, questions: Iterable[Question]) -> None:
        for chunk in chunks(questions, CHUNK):
            self.line.ask(self.inquiry.look_up(chunk))
            self._listen(self.most_open)
        self._listen(0)
        self.line.hang_up()
        self.reported = 0.0
        self._report()

    def _listen(self, most_open: int) -> None:
        """Take in what has come, and wait until at most so many questions are open."""
        while True:
            self._take_in(wait=len(self.inquiry.open) > most_open)
            self._report()
            if self.stop.is_set():
                self._drain()
                raise stopped()
            if len(self.inquiry.open) <= most_open:
                return
            if self.line.ended:
                self._take_in(wait=False)
                raise EngineError(f"{self.inquiry.engine.name}: {len(self.inquiry.open)} answers never came; run again")

    def _drain(self) -> None:
        """Let what is in flight come back, and keep it."""
        self.line.stop()
        while not self.line.ended:
            self._take_in(wait=True)
        self._take_in(wait=False)

    def _take_in(self, wait: bool) -> None:
        again: list[Call] = []
        for arrived in self.line.arrivals(LOOK_S if wait else 0.0):
            if isinstance(arrived, BaseException):
                self._settle()
                raise arrived
            if isinstance(arrived, Completion):
                again += filter(None, [self.inquiry.take_in(arrived)])
            else:
                again += self.inquiry.look_again(arrived)
        self.line.ask(again)
        self._settle(JUDGED if wait and self.inquiry.open else 1)

    def _settle(self, at_least: int = 1) -> None:
        if verdicts := self.inquiry.verdicts(at_least):
            self.writer.settle(verdicts)

    def _report(self) -> None:
        counts, status = self.inquiry.counts, self.line.status
        counts.in_flight, counts.retried, counts.rate_limited = status.in_flight, status.retried, status.rate_limited
        counts.recovered, counts.orphaned = status.recovered + self.line.recovered, self.line.orphaned
        if self.progress is not None and time.monotonic() - self.reported > LOOK_S:
            self.reported = time.monotonic()
            self.progress(counts)
