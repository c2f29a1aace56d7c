"""The bookkeeping of one run of questions: what is open, what each answer means, and what is to be asked next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from language_models.judging import Question, judge
from language_models.ledger import Call, Ledger, Verdict
from language_models.prices import reserve_usd
from language_models.protocols import ChatEngine, OnlineEngine
from language_models.tokens import prompt_tokens
from schemas.errors import BudgetError
from schemas.records import Completion, Prompt
from schemas.sections import Llm


@dataclass
class Counts:
    """What a run of questions came to. Tokens and cost are those of the calls that this run made."""

    asked: int = 0  # distinct calls made, failed ones included
    cached: int = 0  # questions that needed no call
    follow_ups: int = 0  # further turns: twice the room, or a re-ask
    rejected: int = 0  # calls whose answers cannot be used
    failed: int = 0  # calls that brought no answer and were not paid
    unknown: int = 0  # attempts that may have been paid and brought no answer
    orphaned: int = 0  # calls of killed runs that may have been paid and brought no answer
    recovered: int = 0  # answers found again at the endpoint
    retried: int = 0  # attempts that failed without cost and were repeated
    rate_limited: int = 0  # of them, those that the endpoint held back (429)
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    in_flight: int = 0
    reasons: dict[str, int] = field(default_factory=dict)  # rejected and failed calls by class

    def add(self, completion: Completion) -> None:
        """Count what came back from one turn of a call."""
        if completion.unknown:
            self.unknown += 1
            return
        self.asked += completion.turn == 0
        self.follow_ups += completion.turn > 0
        self.input_tokens += completion.input_tokens
        self.cached_tokens += completion.cached_tokens
        self.output_tokens += completion.output_tokens
        self.cost_usd += completion.cost_usd

    def drop(self, reason: str) -> None:
        """Count a call that ends without a usable answer."""
        self.reasons[reason] = self.reasons.get(reason, 0) + 1

    @property
    def done(self) -> int:
        """Questions that need nothing more."""
        return self.asked + self.cached


class Inquiry:
    """The bookkeeping of one run: what is open, what each answer means, and what is to be asked next."""

    def __init__(self, engine: ChatEngine, ledger: Ledger, llm: Llm, counts: Counts) -> None:
        self.engine, self.ledger, self.llm, self.counts = engine, ledger, llm, counts
        self._endpoint = engine.endpoint if isinstance(engine, OnlineEngine) else ""
        self.open: dict[str, Question] = {}  # by key; asked, or about to be
        self._answers: dict[str, list[Completion]] = {}  # paid answers of open calls, oldest first
        self._lost: dict[str, int] = {}  # attempts of open calls that brought nothing
        self._failed: set[str] = set()  # not asked twice in one run, though the next may
        self._verdicts: list[Verdict] = []

    def look_up(self, questions: Sequence[Question]) -> list[Call]:
        """Open those questions that need a call now, and return the calls. Equal ones are opened once."""
        fresh: dict[str, Question] = {}
        for question in questions:
            fresh.setdefault(self.engine.key(question.prompt), question)
        fresh = {key: question for key, question in fresh.items() if key not in self.open and key not in self._failed}
        settled = self.ledger.settled(fresh)
        fresh = {key: question for key, question in fresh.items() if key not in settled}
        calls = self._open(fresh)
        self.counts.cached += len(questions) - len(calls)
        return calls

    def look_again(self, keys: Sequence[str]) -> list[Call]:
        """The calls that are still needed of those that another worker has had answered."""
        settled = self.ledger.settled(keys)
        for key in settled:
            self._close(key)
        left = {key: self.open[key] for key in keys if key in self.open}
        calls = self._open(left)
        self.counts.cached += len(keys) - len(calls)
        return calls

    def take_in(self, completion: Completion) -> Call | None:
        """Judge what came back, once it is in the ledger; returns the next turn of the call where it needs one."""
        key = completion.key
        if key not in self.open:
            return None  # two answers to one turn: both are kept, one is enough
        self.counts.add(completion)
        if completion.unknown:
            return self._send_again(completion)
        if completion.failed:
            self.counts.failed += 1
            self.counts.drop(completion.finish_reason)
            self._failed.add(key)
            self._close(key)
            return None
        self._answers.setdefault(key, []).append(completion)
        return self._judge(key)

    def verdicts(self, at_least: int = 1) -> list[Verdict]:
        """Verdicts that are not in the ledger yet; they are the caller's from now on."""
        if len(self._verdicts) < at_least:
            return []
        verdicts, self._verdicts = self._verdicts, []
        return verdicts

    def over_budget(self, call: Call) -> BudgetError:
        """The error for a call that could pass the cap."""
        totals = self.ledger.totals()
        spent, cap = totals.spent_usd + totals.possible_usd, self.llm.max_cost_usd
        unseen = f" (${totals.possible_usd:.4f} of it perhaps, for calls without an answer)" if totals.unknown else ""
        return BudgetError(
            f"{self.ledger.where}: spent ${spent:.4f}{unseen}, reserved ${totals.reserved_usd:.4f}, and the next call "
            f"may cost ${call.reserved_usd:.4f}: it could pass the cap of ${cap}; every answer so far is kept, and a "
            "run with a higher --max-cost (llm.max_cost_usd) continues from them"
        )

    def _open(self, questions: Mapping[str, Question]) -> list[Call]:
        answers = self.ledger.answers(questions)
        calls = []
        for key, question in questions.items():
            self.open[key] = question
            if key in answers:
                self._answers[key] = answers[key]
                call = self._judge(key)
            else:
                call = self._call(key, question.prompt)
            if call is not None:
                calls.append(call)
        return calls

    def _judge(self, key: str) -> Call | None:
        judgement = judge(key, self.open[key], self._answers[key])
        if judgement.follow_up is not None:
            return self._call(key, judgement.follow_up)
        verdict = judgement.verdict
        assert verdict is not None
        self._verdicts.append(verdict)
        if verdict.state == "rejected":
            self.counts.rejected += 1
            self.counts.drop(verdict.reason)
        self._close(key)
        return None

    def _send_again(self, completion: Completion) -> Call | None:
        """The same turn again, unless it got lost as often as the run file allows."""
        key, lost = completion.key, self._lost.get(completion.key, 0) + 1
        self._lost[key] = lost
        if lost < self.llm.attempts:
            turns = self._answers.get(key)
            return self._judge(key) if turns else self._call(key, self.open[key].prompt)
        failed = replace(completion, finish_reason=completion.finish_reason.replace("unknown:", "error:"))
        self.ledger.respond([failed])
        return self.take_in(failed)

    def _call(self, key: str, prompt: Prompt) -> Call:
        engine, llm = self.engine, self.llm
        usd, tokens = reserve_usd(prompt, llm), prompt_tokens(prompt)
        return Call(key, prompt, engine.name, engine.model, usd, tokens, self._endpoint)

    def _close(self, key: str) -> None:
        for opened in (self.open, self._answers, self._lost):
            opened.pop(key, None)
