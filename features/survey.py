"""One pass over a recipe's subjects that finds out which are to be asked about, why, and what that weighs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from features.generation import CHUNK
from features.histories import Posed, ask_each
from features.key_set import KeySet
from features.recipes.base import Recipe
from features.stand_ins import Row, Samples
from language_models.judging import Question, judge
from language_models.ledger import Asked, Ledger
from language_models.ledger.templates import instruction_id
from language_models.prices import reserve_usd
from language_models.protocols import ChatEngine, OnlineEngine
from language_models.tokens import prompt_tokens
from schemas.chunks import chunks
from schemas.records import Completion, Prompt, Subject, canonical, sha256
from schemas.sections import Llm

Reason = tuple[str, str, str]  # one of planning.REASONS, and what was before and is now


class Survey:
    """What a recipe's subjects come to. `expected` holds, by id, texts that are about to be written and are shown here.

    Memory grows by eight bytes per row to ask alone, and by the ids of those rows where `pending` is a list.
    """

    def __init__(
        self, recipe: Recipe, engine: ChatEngine, ledger: Ledger, llm: Llm, expected: Mapping[str, str]
    ) -> None:
        self.recipe, self.engine, self.ledger, self.llm, self.expected = recipe, engine, ledger, llm, expected
        self.batch = llm.mode == "batch"
        self.subjects = self.nothing_to_ask = self.cached = self.to_ask = self.assumed = self.input_tokens = 0
        self.max_cost_usd = 0.0
        self.reasons: dict[Reason, tuple[int, str]] = {}  # rows, and the id of one of them
        self.pending: list[str] | None = None  # ids of those whose answers are still to come
        self.samples = Samples()
        self._endpoint = engine.endpoint if isinstance(engine, OnlineEngine) else ""
        self._seen = KeySet()

    def read(self, subjects: Iterable[Subject]) -> None:
        self.read_asked(ask_each(self.recipe, map(self._shown, subjects)))

    def read_asked(self, asked: Iterable[Posed]) -> None:
        """The same with subjects whose prompts are made; they show none of the expected texts."""
        for chunk in chunks(asked, CHUNK):
            rows = self._rows(chunk)
            settled = self.ledger.settled(key for key, _, _ in rows)
            self.subjects += len(chunk)
            self.nothing_to_ask += len(chunk) - len(rows)
            self.cached += len(rows)
            self.samples.add_answered(settled)
            self._sort_out([row for row in rows if row[0] not in settled])

    def _rows(self, asked: Sequence[Posed]) -> list[Row]:
        """The subjects about whom there is something to ask."""
        return [(self.engine.key(prompt), subject, prompt) for subject, prompt in asked if isinstance(prompt, Prompt)]

    def _shown(self, subject: Subject) -> Subject:
        """The subject with the texts that its history is expected to have."""
        if not self.expected:
            return subject
        shown = {event.id: self.expected[event.id] for event in subject.history if event.id in self.expected}
        return replace(subject, profiles={**subject.profiles, **shown}) if shown else subject

    def _sort_out(self, rows: Sequence[Row]) -> None:
        """Count the rows that have not been answered for good, each under its reason."""
        keys = [key for key, _, _ in rows]
        answers, failures = self.ledger.answers(keys), self.ledger.failures(keys)
        whole = [prompt.id for _, _, prompt in rows if not prompt.part]  # a new partition is no change of the last one
        before = self.ledger.last_asked(self.recipe.name, self.recipe.kind, whole)
        self.samples.add_answered(asked.key for asked in before.values())
        for row in rows:
            key, _, prompt = row
            turn = self._turn(row, answers.get(key, ()))
            if turn is None:
                continue
            if self.pending is not None:
                self.pending.append(prompt.id)
            if not self._seen.add(key):
                self._count(("duplicate", "", ""), prompt.id)
                continue
            self.samples.add_prompt(row)
            self._count(self._reason(turn, key in failures, before.get(prompt.id)), prompt.id)
            self._weigh(turn)

    def _count(self, reason: Reason, id: str) -> None:
        rows, example = self.reasons.get(reason, (0, id))
        self.reasons[reason] = rows + 1, example

    def _weigh(self, turn: Prompt) -> None:
        self.to_ask += 1
        self.cached -= 1
        self.assumed += self._shows_expected(turn)
        self.input_tokens += prompt_tokens(turn)
        self.max_cost_usd += reserve_usd(turn, self.llm, batch=self.batch)

    def _turn(self, row: Row, answers: Sequence[Completion]) -> Prompt | None:
        """What would be asked; None where the answers that came are enough, though nobody has judged them yet."""
        key, subject, prompt = row
        if not answers:
            return prompt
        return judge(key, Question(prompt, lambda text: self.recipe.read(subject, text, key)), answers).follow_up

    def _reason(self, turn: Prompt, failed: bool, before: Asked | None) -> Reason:
        if turn.turn or failed or before is None:
            return ("follow-up" if turn.turn else "failed" if failed else "new"), "", ""
        if before.version != turn.version:
            return "prompt", before.version, turn.version
        if before.instruction != instruction_id(turn.system, canonical(turn.answer_schema)):
            return "instruction", "", ""
        for last, now in self._who(before):
            if last and last != now:
                return "model", last, now
        if before.user_sha256 == sha256(turn.user):
            return "settings", "", ""
        return ("upstream" if self._shows_expected(turn) else "text"), "", ""

    def _shows_expected(self, turn: Prompt) -> bool:
        return any(id in self.expected for id in turn.source_ids)

    def _who(self, before: Asked) -> tuple[tuple[str, str], ...]:
        """Who was asked and who will be; an endpoint that was not recorded is not compared."""
        engine = self.engine
        return (before.model, engine.model), (before.engine, engine.name), (before.endpoint, self._endpoint)
