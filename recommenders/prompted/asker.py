"""Where prompted recommenders ask: one engine, one ledger, one cap; what is known is not asked again."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from language_models.answering import answer_all
from language_models.batch import answer_batches
from language_models.engines import make_engine
from language_models.inquiry import Counts
from language_models.judging import NOT_ANSWERS, Question, answer_text
from language_models.ledger import Ledger
from language_models.prices import FREE_ENGINES, cost_usd, price_of, reserve_usd
from language_models.protocols import ChatEngine
from language_models.tokens import calibrated, prompt_tokens
from recommenders.prompted.tally import Tally
from schemas.errors import AnswerError, ConfigError
from schemas.records import Completion, Prompt
from schemas.sections import Llm

T = TypeVar("T")
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Asked(Generic[T]):
    """A prompt and how its answer is read: `read` raises AnswerError for a text that cannot be used."""

    prompt: Prompt
    read: Callable[[str], T]
    output_tokens: int  # that an answer is expected to have


class Asker:
    """Has questions answered and reads the answers.

    `engine` and `ledger` are those of a night. Without them an engine that costs nothing is made with the first
    question, and asked through a ledger that ends with this object; one that may cost something is refused.
    `counts` and `progress` are told of every call, `say` of what is about to be asked.
    """

    def __init__(
        self,
        llm: Llm,
        engine: ChatEngine | None = None,
        ledger: Ledger | None = None,
        say: Say | None = None,
        counts: Counts | None = None,
        progress: Callable[[Counts], None] | None = None,
    ) -> None:
        self.llm = llm
        self.counts = counts if counts is not None else Counts()
        self._engine, self._ledger, self._say, self._progress = engine, ledger, say, progress

    @property
    def engine(self) -> ChatEngine:
        if self._engine is None:
            self._engine = make_engine(self.llm)
        return self._engine

    @property
    def ledger(self) -> Ledger:
        """Raises ConfigError where paid answers would be lost."""
        if self._ledger is None:
            self._ledger = self._private()
        return self._ledger

    def answers(self, asked: Sequence[Asked[T]], tally: Tally, users: int = 1) -> list[T | None]:
        """What the answers to questions about so many users say, in order; None where none came or none can be read.

        Raises BudgetError before a call that could pass the cap, StopError after SIGTERM; what came by then is kept.
        """
        engine, ledger, counts = self.engine, self.ledger, self.counts
        self._plan(asked, tally, users)
        before = (counts.asked, counts.cached, counts.follow_ups, counts.cost_usd)
        questions = [Question(each.prompt, each.read) for each in asked]
        try:
            if self.llm.mode == "batch":
                answer_batches(lambda: iter(questions), engine, ledger, self.llm, counts, self._progress)
            else:
                answer_all(questions, engine, ledger, self.llm, counts, self._progress)
        finally:
            tally.pay(*(now - then for now, then in zip(_paid(counts), before, strict=True)))
        return self._read(asked, tally)

    def _plan(self, asked: Sequence[Asked[T]], tally: Tally, users: int) -> None:
        """Say what the questions come to before the first is asked, and count what all of them cost when new."""
        prompts = {self.engine.key(each.prompt): each for each in asked}
        if not prompts:
            return
        settled = self.ledger.settled(prompts)
        recipe = asked[0].prompt.recipe
        known = self.ledger.calibration(self.engine.model, recipe)
        every, fresh, most = 0.0, 0.0, 0.0
        for key, each in prompts.items():
            given = calibrated(prompt_tokens(each.prompt), known)
            cost = cost_usd(given, each.output_tokens, self.llm, batch=self.llm.mode == "batch")
            every += cost
            if key not in settled:
                fresh, most = fresh + cost, most + reserve_usd(each.prompt, self.llm, self.llm.mode == "batch")
        tally.expect(len(asked), every)
        new = len(prompts) - len(settled)
        if self._say is not None and new:
            told = f"${fresh:.4f} expected, ${most:.4f} at most" if most else "free of charge"
            told += f"; ${every * 1000 / users:.2f} for 1,000 users" if most else ""
            told = told if price_of(self.llm) is not None else "no price is known for the model, so it counts as free"
            self._say(f"{new:,} of {len(asked):,} questions about {users:,} users are new: {told}")

    def _read(self, asked: Sequence[Asked[T]], tally: Tally) -> list[T | None]:
        keys = [self.engine.key(each.prompt) for each in asked]
        answers = self.ledger.answers(set(keys))
        failures = self.ledger.failures(key for key in set(keys) if key not in answers)
        tally.worth(sum(answer.cost_usd for each in answers.values() for answer in each))
        found: list[T | None] = []
        for key, each in zip(keys, asked, strict=True):
            try:
                found.append(_latest(each, answers.get(key, ()), failures.get(key)))
            except AnswerError as error:
                tally.miss(error.reason, error.reason in NOT_ANSWERS or key not in answers)
                found.append(None)
        return found

    def _private(self) -> Ledger:
        if self.llm.engine not in FREE_ENGINES:
            raise ConfigError(
                f"llm.engine: {self.llm.engine} may cost money, and paid answers are kept in the ledger of a night: "
                "run `loregraph night` (train, evaluate, recommend) with this model in the run file"
            )
        folder = Path(tempfile.mkdtemp(prefix="loregraph-"))
        ledger = Ledger(folder / "ledger.sqlite")
        weakref.finalize(self, _forget, ledger, folder)
        return ledger


def _latest(asked: Asked[T], answers: Sequence[Completion], failure: Completion | None) -> T:
    """What the latest readable answer says. Raises AnswerError as the latest one does where none can be read."""
    if not answers:
        answer_text(failure)
    wrong: AnswerError | None = None
    for answer in reversed(answers):
        try:
            return asked.read(answer_text(answer))
        except AnswerError as error:
            wrong = wrong or error
    assert wrong is not None, "an answer was read or was not"
    raise wrong


def _paid(counts: Counts) -> tuple[int, int, int, float]:
    return counts.asked, counts.cached, counts.follow_ups, counts.cost_usd


def _forget(ledger: Ledger, folder: Path) -> None:
    ledger.close()
    shutil.rmtree(folder, ignore_errors=True)
