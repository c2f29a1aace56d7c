"""Batches from the first question to the last answer: one step that does not wait, and a loop around it that does."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from language_models.batch.desk import BatchDesk, Checkpoint
from language_models.batch.walk import Round, Walk, stopped, walk
from language_models.inquiry import Counts, Inquiry
from language_models.judging import Question
from language_models.ledger import Batch, Ledger
from language_models.protocols import ChatEngine
from language_models.stopping import stop_requests
from schemas.sections import Llm

Progress = Callable[[Counts], None]


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a run stands between two steps. It is over when nothing is open."""

    round: Round
    batches: tuple[Batch, ...]  # at the provider, with calls of the recipes that were walked
    held: int  # calls that another worker has at the moment

    @property
    def open(self) -> bool:
        return bool(self.batches or self.held)


def answer_batches(
    questions: Callable[[], Iterable[Question]],
    engine: ChatEngine,
    ledger: Ledger,
    llm: Llm,
    counts: Counts | None = None,
    progress: Progress | None = None,
    checkpoint: Checkpoint = lambda _: None,
) -> Counts:
    """Have every question answered through the Batch API that the ledger has no answer to, and wait for it.

    `questions` is called once per round, so that nobody holds them. Follow-ups go into a second, smaller batch. Raises
    BudgetError when nothing that is left fits under `llm.max_cost_usd`, StopError after SIGTERM or Ctrl-C while batches
    go on at the provider, and EngineError; the same call later goes on from there, and pays for nothing twice.
    """
    counts = counts if counts is not None else Counts()
    with stop_requests() as stop, BatchDesk(engine, ledger, llm, counts, checkpoint) as desk:
        desk.stop = stop
        standing = advance(questions(), desk)
        while standing.open:
            _wait(standing, desk, progress)
            standing = advance(questions(), desk, standing.round)
        if progress is not None:
            progress(counts)
    return counts


def advance(questions: Iterable[Question], desk: BatchDesk, before: Round | None = None) -> Standing:
    """Do all that can be done without waiting: adopt what a crash has left, land what has ended, submit what is open.

    `before` is the round of the step before in the same run, None at its beginning. Raises as `answer_batches` does.
    """
    desk.adopt()
    for batch in desk.open():
        desk.look(batch)
    round = Round() if before is None else before.after(desk.landed, desk.answers)
    desk.landed = desk.answers = 0
    walked = walk(questions, desk, round)
    standing = Standing(round, tuple(desk.open(walked.recipes)), walked.held)
    if not standing.open:
        _finish(walked, desk)
    return standing


def _finish(walked: Walk, desk: BatchDesk) -> None:
    """Count what failed for good; raises BudgetError where the cap has kept something from being asked."""
    counts = desk.counts
    for reason, calls in walked.failed.items():
        counts.asked, counts.failed = counts.asked + calls, counts.failed + calls
        counts.reasons[f"error:{reason}"] = counts.reasons.get(f"error:{reason}", 0) + calls
    if walked.refused is not None:
        raise Inquiry(desk.engine, desk.ledger, desk.llm, counts).over_budget(walked.refused)


def _wait(standing: Standing, desk: BatchDesk, progress: Progress | None) -> None:
    """Until every batch has ended and landed; at least until the next look."""
    ours = {batch.id for batch in standing.batches}
    while True:
        if desk.stop.wait(desk.llm.batch_poll_s):
            raise stopped(desk)
        desk.counts.in_flight = sum(_in_flight(desk, batch) for batch in desk.open() if batch.id in ours)
        if progress is not None:
            progress(desk.counts)
        if not any(batch.id in ours for batch in desk.open()):
            return


def _in_flight(desk: BatchDesk, batch: Batch) -> int:
    """Calls of a batch that are not answered yet, as far as the provider tells."""
    remote = desk.look(batch)
    told = remote.request_counts if remote is not None else None
    return told.total - told.completed - told.failed if told is not None else batch.calls
