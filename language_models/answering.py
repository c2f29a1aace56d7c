"""Questions in, answers into the ledger: each distinct call is paid once, kept before it is read, within the cap."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from language_models.inquiry import Counts, Inquiry
from language_models.judging import Question
from language_models.ledger import Call, Ledger
from language_models.protocols import ChatEngine, OnlineEngine
from language_models.stopping import stop_requests
from schemas.chunks import chunks
from schemas.errors import EngineError, StopError
from schemas.records import Completion, Prompt
from schemas.sections import Llm

Progress = Callable[[Counts], None]

CHUNK = 500  # questions looked up in the ledger at a time
COMMIT, COMMIT_S = 128, 1.0  # answers of a local engine per ledger transaction, and seconds, at most


def answer_all(
    questions: Iterable[Question],
    engine: ChatEngine,
    ledger: Ledger,
    llm: Llm,
    counts: Counts | None = None,
    progress: Progress | None = None,
) -> Counts:
    """Have every question answered that the ledger has no answer to, in bounded memory, and judge every answer.

    Calls are leased before they are sent, and answers are in the ledger before anything reads them. Questions with one
    key are asked once. Raises BudgetError before a call that could pass `llm.max_cost_usd`, StopError after SIGTERM or
    Ctrl-C, and what the engine raises; every answer that came is kept in each case, and another run goes on from there.
    """
    counts = counts if counts is not None else Counts()
    inquiry = Inquiry(engine, ledger, llm, counts)
    with stop_requests() as stop:
        if isinstance(engine, OnlineEngine):
            from language_models.online import ask_online

            ask_online(questions, inquiry, engine, stop, progress)
        else:
            _ask_locally(questions, inquiry, stop, progress)
    return counts


def _ask_locally(
    questions: Iterable[Question], inquiry: Inquiry, stop: threading.Event, progress: Progress | None
) -> None:
    """Calls that nobody has to wait for or pay: chunk by chunk, in this thread."""
    for chunk in chunks(questions, max(CHUNK, inquiry.llm.batch_size)):
        calls = inquiry.look_up(chunk)
        while calls:
            calls = _answer_locally(calls, inquiry, stop, progress)
        inquiry.ledger.settle(inquiry.verdicts())
        if progress is not None:
            progress(inquiry.counts)
        if stop.is_set():
            raise stopped()


def _answer_locally(
    calls: Sequence[Call], inquiry: Inquiry, stop: threading.Event, progress: Progress | None
) -> list[Call]:
    """Lease, answer and keep; returns what is to be asked next."""
    ledger, engine = inquiry.ledger, inquiry.engine
    granted = ledger.lease(calls, inquiry.llm.max_cost_usd)
    ledger.abandon(granted.orphaned, charged=False)  # nobody has paid for them
    if granted.refused and not granted.taken:
        raise inquiry.over_budget(next(call for call in calls if call.key in granted.refused))
    again = [call for call in calls if call.key in {*granted.orphaned, *granted.refused}]
    again += inquiry.look_again(granted.answered)
    if granted.held:
        stop.wait(1.0)  # another worker has them
        again += [call for call in calls if call.key in set(granted.held)]
    prompts = {call.key: call.prompt for call in calls}
    missing = dict.fromkeys(granted.taken)
    try:
        for group in _groups(engine.answer(_until(stop, [prompts[key] for key in granted.taken]))):
            ledger.respond(group)
            for completion in group:
                missing.pop(completion.key, None)
                again += filter(None, [inquiry.take_in(completion)])
            if progress is not None:
                progress(inquiry.counts)
            if stop.is_set():
                break  # an engine that reads ahead has prompts of its own
    finally:
        ledger.release(missing)
        ledger.settle(inquiry.verdicts())
    if stop.is_set():
        raise stopped()
    if missing:
        raise EngineError(f"{engine.name}: expected {len(granted.taken)} answers, {len(missing)} never came; run again")
    return again


def stopped() -> StopError:
    return StopError("stopped on request; every answer that came is kept, run the same command again to go on")


def _until(stop: threading.Event, prompts: Iterable[Prompt]) -> Iterator[Prompt]:
    for prompt in prompts:
        if stop.is_set():
            return
        yield prompt


def _groups(completions: Iterator[Completion]) -> Iterator[list[Completion]]:
    """Completions in groups of `COMMIT` or of a second's; what came before an error is a group of its own."""
    group: list[Completion] = []
    began = time.monotonic()
    try:
        for completion in completions:
            group.append(completion)
            if len(group) == COMMIT or time.monotonic() - began > COMMIT_S:
                yield group
                group, began = [], time.monotonic()
    except Exception:
        if group:
            yield group
        raise
    if group:
        yield group
