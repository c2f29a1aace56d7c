"""One walk over the questions: judge what has been answered, put what is to be asked into files, leave the rest alone.

A walk may be repeated and cut off anywhere: what a question needs is read from the ledger, and nothing else is kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from language_models.batch.desk import BatchDesk
from language_models.batch.requests import request_line
from language_models.chat_format import FORMATS
from language_models.judging import Question, judge
from language_models.ledger import Call, Verdict
from language_models.prices import reserve_usd
from language_models.tokens import prompt_tokens
from schemas.chunks import chunks
from schemas.errors import EngineError, StopError
from schemas.records import Completion, Prompt

CHUNK = 500  # questions looked up in the ledger at a time
FILE_BYTES = 100_000_000  # of a request file at most; providers take 200 MB
PASSING = ("server", "rate_limit", "timeout", "conflict", "no_line", "response_format")  # worth asking again


@dataclass(frozen=True, slots=True)
class Round:
    """How far a run has come: the walks before, and how often in a row batches landed without a single answer."""

    number: int = 0
    fruitless: int = 0

    def after(self, batches: int, answers: int) -> Round:
        """The next round, when so many batches and answers have landed since this one."""
        return Round(self.number + 1, 0 if answers else self.fruitless + bool(batches))


@dataclass(slots=True)
class Walk:
    """What a walk came to, in calls."""

    sent: int = 0
    held: int = 0  # somebody else is having them answered, or has had just now
    refused: Call | None = None  # the first that could pass the cap; nothing after it was asked
    recipes: set[str] = field(default_factory=set)
    failed: Counter[str] = field(default_factory=Counter)  # calls that are given up in this run, by error class


def walk(questions: Iterable[Question], desk: BatchDesk, round: Round) -> Walk:
    """Go over the questions once and submit files of at most `llm.batch_requests` calls and `FILE_BYTES` bytes.

    Memory holds one file's calls, however many questions there are. In a later round, calls that failed for good are
    not asked again. Raises EngineError when too many rounds in a row have brought nothing.
    """
    return _Walker(desk, round).walk(questions)


class _Walker:
    def __init__(self, desk: BatchDesk, round: Round) -> None:
        self.desk, self.round, self.ledger, self.llm = desk, round, desk.ledger, desk.llm
        self.told = Walk()
        self.file: dict[str, Call] = {}  # by key; equal questions are asked once
        self.bytes = 0

    def walk(self, questions: Iterable[Question]) -> Walk:
        for chunk in chunks(questions, CHUNK):
            self.told.recipes.update(question.prompt.recipe for question in chunk)
            for call in self._needed(chunk):
                self._add(call)
            if self.told.refused:
                break
        self._submit()
        return self.told

    def _add(self, call: Call) -> None:
        size = len(request_line(call, self.llm, FORMATS[0]))  # the longest form
        if len(self.file) == self.llm.batch_requests or (self.file and self.bytes + size > FILE_BYTES):
            self._submit()
        self.file[call.key] = call
        self.bytes += size

    def _submit(self) -> None:
        calls, self.file, self.bytes = self.file, {}, 0
        if not calls or self.told.refused:
            return
        if self.desk.stop.is_set():
            raise stopped(self.desk)
        granted = self.desk.submit(list(calls.values()))
        self.told.sent += len(granted.taken)
        self.told.held += len(granted.held) + len(granted.answered)
        if granted.refused:
            self.told.refused = calls[granted.refused[0]]
        if granted.orphaned:
            self._free(granted.orphaned)
            self.file = {key: calls[key] for key in granted.orphaned}
            self._submit()

    def _free(self, orphaned: Sequence[str]) -> None:
        """Calls that a killed run had in flight online: perhaps paid, unless the endpoint would give them again."""
        charged = self.llm.recovery != "idempotency"
        self.ledger.abandon(orphaned, charged)
        self.desk.counts.orphaned += charged * len(orphaned)

    def _needed(self, chunk: Sequence[Question]) -> Iterator[Call]:
        """The calls to make now for a chunk of questions; verdicts on the others go to the ledger."""
        fresh: dict[str, Question] = {}
        for question in chunk:
            fresh.setdefault(self.desk.engine.key(question.prompt), question)
        settled = self.ledger.settled(fresh)
        unsettled = {key: question for key, question in fresh.items() if key not in settled and key not in self.file}
        answers = self.ledger.answers(unsettled)
        failures = self.ledger.failures(unsettled) if self.round.number else {}
        needed, verdicts = [], []
        for key, question in unsettled.items():
            prompt, verdict = _next(key, question, answers.get(key))
            if verdict is not None:
                verdicts.append(verdict)
            elif prompt is not None and not self._given_up(key, failures.get(key)):
                needed.append(self._call(key, prompt))
        self._settle(verdicts)
        if not self.round.number:
            self.desk.counts.cached += len(chunk) - len(needed)
        yield from needed

    def _settle(self, verdicts: Sequence[Verdict]) -> None:
        self.ledger.settle(verdicts)
        self.desk.checkpoint("judged")
        for verdict in verdicts:
            if verdict.state == "rejected":
                self.desk.counts.rejected += 1
                self.desk.counts.drop(verdict.reason)

    def _given_up(self, key: str, failure: Completion | None) -> bool:
        """Whether a call is left as it failed, in this run."""
        reason = self.desk.failed.get(key) or (failure.finish_reason.removeprefix("error:") if failure else "")
        lasting = self.round.fruitless >= self.llm.attempts
        if lasting and not reason:
            raise EngineError(
                f"{self.desk.engine.endpoint}: {self.round.fruitless} times in a row batches landed without an answer "
                f"(the last: {self.desk.ending}), and call {key} has still to be made; every answer so far is kept, "
                "run again to go on"
            )
        if given_up := bool(reason) and (lasting or reason not in PASSING):
            self.told.failed[reason] += 1
        return given_up

    def _call(self, key: str, prompt: Prompt) -> Call:
        engine, llm = self.desk.engine, self.llm
        usd, tokens = reserve_usd(prompt, llm, batch=True), prompt_tokens(prompt)
        return Call(key, prompt, engine.name, engine.model, usd, tokens, engine.endpoint)


def _next(key: str, question: Question, answers: Sequence[Completion] | None) -> tuple[Prompt | None, Verdict | None]:
    """What is to be asked, or the verdict where nothing is."""
    if not answers:
        return question.prompt, None
    judgement = judge(key, question, answers)
    return judgement.follow_up, judgement.verdict


def stopped(desk: BatchDesk) -> StopError:
    return StopError(
        f"stopped on request; {len(desk.open())} batches go on at {desk.engine.endpoint}; run the same command again "
        "to collect them"
    )
